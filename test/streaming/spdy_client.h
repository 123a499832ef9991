// SPDX-License-Identifier: Apache-2.0
//
// A SPDY/3.1 client. Reads when asked to, and keeps what came for each stream.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "test/streaming/connection.h"

namespace davit::test_streaming {

using Pairs = std::vector<std::pair<std::string, std::string>>;

class SpdyClient {
 public:
  struct Stream {
    std::string data;
    size_t received = 0;  // also what was taken away from `data`
    bool replied = false;
    bool ended = false;  // by the server
    uint32_t reset = 0;  // code of RST_STREAM
  };

  // `write` and `read` move bytes; read gives "" at the end.
  SpdyClient(std::function<void(const std::string&)> write, std::function<std::string()> read);
  ~SpdyClient();
  SpdyClient(const SpdyClient&) = delete;
  SpdyClient& operator=(const SpdyClient&) = delete;

  uint32_t Open(const Pairs& headers, bool fin = false);
  void Send(uint32_t stream, std::string_view data, bool fin = false);
  void End(uint32_t stream) { Send(stream, "", true); }
  void Reset(uint32_t stream, uint32_t code = 5);
  void Ping(uint32_t id);
  void WindowUpdate(uint32_t stream, uint32_t delta);
  void InitialWindow(uint32_t size);
  // A control frame of any kind.
  void SendControl(uint16_t type, uint8_t flags, const std::string& payload, uint16_t version = 3);
  void SendRaw(const std::string& bytes) { write_(bytes); }

  // Handles one frame; false at the end of the connection.
  bool Step();
  // Until the condition holds, or the connection ends; whether it holds.
  bool Until(const std::function<bool()>& condition);

  Stream& stream(uint32_t id) { return streams_[id]; }
  [[nodiscard]] const std::vector<uint32_t>& pongs() const { return pongs_; }
  [[nodiscard]] bool gone_away() const { return gone_away_; }
  [[nodiscard]] uint32_t go_away_status() const { return go_away_status_; }
  // Sum of the server's WINDOW_UPDATEs for a stream; 0 is the session.
  [[nodiscard]] uint64_t given_back(uint32_t stream) { return given_back_[stream]; }

  // The compressed form of a header block, by this client's compressor.
  std::string Compress(const std::string& block);
  static std::string Block(const Pairs& headers);

 private:
  std::string Take(size_t size);
  void OnControl(uint16_t type, uint8_t flags, const std::string& payload);
  void Inflate(const std::string& block);

  struct Zlib;
  std::unique_ptr<Zlib> zlib_;
  std::function<void(const std::string&)> write_;
  std::function<std::string()> read_;
  std::string input_;
  bool at_end_ = false;
  uint32_t next_id_ = 1;
  std::map<uint32_t, Stream> streams_;
  std::map<uint32_t, uint64_t> given_back_;
  std::vector<uint32_t> pongs_;
  bool gone_away_ = false;
  uint32_t go_away_status_ = 0;
};

// Upgrades a connection to SPDY/3.1; the head of the server's answer.
std::string UpgradeToSpdy(Connection& connection, const Url& url, const std::string& protocols);
std::unique_ptr<SpdyClient> SpdyOver(Connection& connection);

}  // namespace davit::test_streaming
