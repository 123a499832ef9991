// SPDX-License-Identifier: Apache-2.0
#include "test/streaming/spdy_client.h"

#include <zlib.h>

#include <array>
#include <stdexcept>
#include <utility>

#include "server/streaming/spdy/dictionary.h"

namespace davit::test_streaming {
namespace {

std::string Number(uint32_t value) {
  std::string bytes;
  for (int shift = 24; shift >= 0; shift -= 8) {
    bytes += static_cast<char>(value >> static_cast<unsigned>(shift));
  }
  return bytes;
}

uint32_t NumberAt(const std::string& bytes, size_t at) {
  uint32_t value = 0;
  for (size_t i = 0; i < 4; ++i) {
    value = value * 256 + static_cast<unsigned char>(bytes.at(at + i));
  }
  return value;
}

Bytef* ZlibBytes(const std::string& text) {
  return reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
}

}  // namespace

// The dictionary is data of the specification; its checksum, which every zlib stream carries, shows
// that it is the right one.
struct SpdyClient::Zlib {
  Zlib() {
    const std::string& dictionary = server::streaming::spdy::Dictionary();
    deflateInit(&out, Z_BEST_COMPRESSION);
    deflateSetDictionary(&out, ZlibBytes(dictionary), static_cast<uInt>(dictionary.size()));
    inflateInit(&in);
  }
  ~Zlib() {
    deflateEnd(&out);
    inflateEnd(&in);
  }
  Zlib(const Zlib&) = delete;
  Zlib& operator=(const Zlib&) = delete;

  z_stream out = {};
  z_stream in = {};
};

SpdyClient::SpdyClient(std::function<void(const std::string&)> write,
                       std::function<std::string()> read)
    : zlib_(std::make_unique<Zlib>()), write_(std::move(write)), read_(std::move(read)) {}

SpdyClient::~SpdyClient() = default;

std::string SpdyClient::Block(const Pairs& headers) {
  std::string block = Number(static_cast<uint32_t>(headers.size()));
  for (const auto& [name, value] : headers) {
    block += Number(static_cast<uint32_t>(name.size())) + name;
    block += Number(static_cast<uint32_t>(value.size())) + value;
  }
  return block;
}

std::string SpdyClient::Compress(const std::string& block) {
  std::string compressed(deflateBound(&zlib_->out, block.size()) + 64, '\0');
  zlib_->out.next_in = ZlibBytes(block);
  zlib_->out.avail_in = static_cast<uInt>(block.size());
  zlib_->out.next_out = ZlibBytes(compressed);
  zlib_->out.avail_out = static_cast<uInt>(compressed.size());
  deflate(&zlib_->out, Z_SYNC_FLUSH);
  compressed.resize(compressed.size() - zlib_->out.avail_out);
  return compressed;
}

void SpdyClient::Inflate(const std::string& block) {
  std::array<char, 65536> out;
  zlib_->in.next_in = ZlibBytes(block);
  zlib_->in.avail_in = static_cast<uInt>(block.size());
  zlib_->in.next_out = reinterpret_cast<Bytef*>(out.data());
  zlib_->in.avail_out = out.size();
  int result = inflate(&zlib_->in, Z_SYNC_FLUSH);
  if (result == Z_NEED_DICT) {
    constexpr uLong kSpdy3Dictionary = 0xe3c6a7c2;
    if (zlib_->in.adler != kSpdy3Dictionary) {
      throw std::runtime_error("the server compresses with another dictionary");
    }
    const std::string& dictionary = server::streaming::spdy::Dictionary();
    inflateSetDictionary(&zlib_->in, ZlibBytes(dictionary), static_cast<uInt>(dictionary.size()));
    result = inflate(&zlib_->in, Z_SYNC_FLUSH);
  }
  const size_t size = out.size() - zlib_->in.avail_out;
  if (result != Z_OK || size < 4) {
    throw std::runtime_error("a header block of the server that cannot be decompressed");
  }
}

void SpdyClient::SendControl(uint16_t type, uint8_t flags, const std::string& payload,
                             uint16_t version) {
  write_(Number(0x80000000U | static_cast<uint32_t>(version) << 16U | type) +
         Number(static_cast<uint32_t>(flags) << 24U | static_cast<uint32_t>(payload.size())) +
         payload);
}

uint32_t SpdyClient::Open(const Pairs& headers, bool fin) {
  const uint32_t id = next_id_;
  next_id_ += 2;
  streams_[id];
  SendControl(1, fin ? 1 : 0,
              Number(id) + Number(0) + std::string(2, '\0') + Compress(Block(headers)));
  return id;
}

void SpdyClient::Send(uint32_t stream, std::string_view data, bool fin) {
  write_(Number(stream) + Number((fin ? 1U << 24U : 0) | static_cast<uint32_t>(data.size())) +
         std::string(data));
}

void SpdyClient::Reset(uint32_t stream, uint32_t code) {
  SendControl(3, 0, Number(stream) + Number(code));
}

void SpdyClient::Ping(uint32_t id) {
  SendControl(6, 0, Number(id));
}

void SpdyClient::WindowUpdate(uint32_t stream, uint32_t delta) {
  SendControl(9, 0, Number(stream) + Number(delta));
}

void SpdyClient::InitialWindow(uint32_t size) {
  SendControl(4, 0, Number(1) + Number(7) + Number(size));
}

std::string SpdyClient::Take(size_t size) {
  while (input_.size() < size) {
    const std::string part = read_();
    if (part.empty()) {
      at_end_ = true;
      return "";
    }
    input_ += part;
  }
  std::string taken = input_.substr(0, size);
  input_.erase(0, size);
  return taken;
}

bool SpdyClient::Step() {
  at_end_ = false;
  const std::string header = Take(8);
  if (at_end_) {
    return false;
  }
  const uint32_t first = NumberAt(header, 0);
  const uint32_t second = NumberAt(header, 4);
  const std::string payload = (second & 0xffffffU) > 0 ? Take(second & 0xffffffU) : "";
  if (at_end_) {
    return false;
  }
  if ((first & 0x80000000U) != 0) {
    if ((first >> 16U & 0x7fffU) != 3) {
      throw std::runtime_error("a frame of another version");
    }
    OnControl(static_cast<uint16_t>(first & 0xffffU), static_cast<uint8_t>(second >> 24U), payload);
    return true;
  }
  Stream& stream = streams_.at(first);
  if (!stream.replied || stream.ended) {
    throw std::runtime_error("data before a reply, or after the end");
  }
  stream.data += payload;
  stream.received += payload.size();
  stream.ended = (second >> 24U & 1U) != 0;
  return true;
}

void SpdyClient::OnControl(uint16_t type, uint8_t /*flags*/, const std::string& payload) {
  switch (type) {
    case 2: {
      Inflate(payload.substr(4));
      streams_.at(NumberAt(payload, 0)).replied = true;
      break;
    }
    case 3:
      streams_[NumberAt(payload, 0)].reset = NumberAt(payload, 4);
      break;
    case 4:
      break;
    case 6:
      pongs_.push_back(NumberAt(payload, 0));
      break;
    case 7:
      gone_away_ = true;
      go_away_status_ = NumberAt(payload, 4);
      break;
    case 9:
      given_back_[NumberAt(payload, 0)] += NumberAt(payload, 4);
      break;
    default:
      throw std::runtime_error("a control frame that no server sends: " + std::to_string(type));
  }
}

bool SpdyClient::Until(const std::function<bool()>& condition) {
  while (!condition()) {
    if (!Step()) {
      return condition();
    }
  }
  return true;
}

std::string UpgradeToSpdy(Connection& connection, const Url& url, const std::string& protocols) {
  connection.Write("POST " + url.path + " HTTP/1.1\r\nHost: " + url.host +
                   "\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\nContent-Length: 0\r\n" +
                   (protocols.empty() ? "" : "X-Stream-Protocol-Version: " + protocols + "\r\n") +
                   "\r\n");
  return connection.ReadHead();
}

std::unique_ptr<SpdyClient> SpdyOver(Connection& connection) {
  return std::make_unique<SpdyClient>(
      [&connection](const std::string& bytes) { connection.Write(bytes); },
      [&connection] { return connection.Read(); });
}

}  // namespace davit::test_streaming
