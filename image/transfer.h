// SPDX-License-Identifier: Apache-2.0
//
// Bytes of one blob from one endpoint, over however many requests it takes: a transfer that breaks
// goes on where it stopped, with growing pauses while nothing comes.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"

#include "base/context.h"
#include "image/decompress.h"
#include "image/manifest.h"
#include "image/registry_client.h"

namespace davit::image {

// Where the registry led the last request for a blob, so that the next range of it need not ask the
// registry again. Such an address is good for a while only. Thread-safe.
class DirectUrl {
 public:
  [[nodiscard]] std::string Get() const;
  void Set(std::string url);
  void Forget(const std::string& url);

 private:
  mutable absl::Mutex mutex_;
  std::string url_ ABSL_GUARDED_BY(mutex_);
};

struct Transfer {
  const Descriptor& blob;
  ByteSink sink;
  std::string path = {};        // below the repository
  std::string url = {};         // instead of it: of a foreign layer, asked without credentials
  uint64_t done = 0;            // the first byte still wanted
  uint64_t end = 0;             // one beyond the last; the blob's size for all of it
  bool only_ranges = false;     // a server that would send the whole blob is not listened to
  DirectUrl* direct = nullptr;  // optional

  // What the last request has shown.
  bool final = false;           // the failure is not the transfer's: no endpoint can mend it
  bool cut_short = false;       // the body ended early, as if it were complete
  bool ranges_refused = false;  // with only_ranges
  std::chrono::milliseconds wanted_pause{0};
};

// Until transfer.done is transfer.end. Errors: those of RegistryClient, DataLoss for more or fewer
// bytes than the blob has, the sink's own.
absl::Status RunTransfer(Context& ctx, RegistryClient& client, Transfer& transfer);

}  // namespace davit::image
