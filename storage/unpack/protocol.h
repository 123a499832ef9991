// SPDX-License-Identifier: Apache-2.0
//
// What the daemon and davit-unpack say to each other, one program for each layer being applied. The
// tar stream goes through a ring of shared memory that the program can only read; a socket of
// packets carries who has filled and who has emptied how much of it, and the outcome. Both programs
// are of one build, so there are no versions.
//
// The program has parsed foreign bytes: the daemon checks every number that comes from it.
#pragma once

#include <cstddef>
#include <cstdint>

namespace davit::storage::unpack {

// Descriptors that the program is started with.
inline constexpr int kControlFd = 3;    // socket(AF_UNIX, SOCK_SEQPACKET)
inline constexpr int kRingFd = 4;       // memfd of kRingBytes
inline constexpr int kDirectoryFd = 5;  // where the layer goes; empty

inline constexpr size_t kRingBytes = size_t{2} << 20U;
// Fewer bytes are not worth a packet. Small enough that both sides always find work in the ring;
// large enough that all packets about a full ring fit into the socket, so nobody waits to send.
inline constexpr size_t kNotifyBytes = size_t{128} << 10U;
inline constexpr size_t kMaxMessage = 3000;  // text of an error

// --- to the program ---
struct Begin {  // first
  uint64_t max_bytes = 0;
  uint64_t max_files = 0;
  uint32_t allow_devices = 0;
  uint32_t unused = 0;
};

enum class DownKind : uint32_t { kFilled = 1, kEnd = 2 };
struct Down {  // closing the socket without kEnd means that the layer is abandoned
  DownKind kind = DownKind::kFilled;
  uint32_t bytes = 0;  // kFilled: so many more are in the ring
};

// --- from the program ---
enum class UpKind : uint32_t {
  kEmptied = 1,  // so many bytes of the ring may be overwritten
  kOpaque = 2,   // with a descriptor: make this directory opaque (needs CAP_SYS_ADMIN)
  kDone = 3,     // last; a Done and its message
};
struct Up {
  UpKind kind = UpKind::kEmptied;
  uint32_t bytes = 0;
};
struct Done {
  UpKind kind = UpKind::kDone;
  uint32_t code = 0;   // absl::StatusCode
  uint32_t flags = 0;  // LayerFlags
  uint32_t unused = 0;
  uint64_t bytes = 0;
  uint64_t files = 0;
  // The message of an error follows.
};

}  // namespace davit::storage::unpack
