// SPDX-License-Identifier: Apache-2.0
#include "image/signature/public_key.h"

#include "absl/cleanup/cleanup.h"
#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "base/status.h"
#include "base/text.h"

namespace davit::image {
namespace {

constexpr int kMinRsaBits = 2048;
constexpr size_t kMaxPemBytes = 65536;

const unsigned char* Bytes(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

struct PemBlock {
  std::string type;
  std::string content;
};

absl::StatusOr<PemBlock> ReadOneBlock(const std::string& pem) {
  const std::string text(Trim(pem));
  const auto clear = absl::MakeCleanup([] { ERR_clear_error(); });
  if (text.size() > kMaxPemBytes || !text.starts_with("-----BEGIN ")) {
    return InvalidArgument("it is not one block of PEM");
  }
  const std::unique_ptr<BIO, decltype(&BIO_free)> bio(
      BIO_new_mem_buf(text.data(), static_cast<int>(text.size())), BIO_free);
  char* name = nullptr;
  char* header = nullptr;
  unsigned char* data = nullptr;
  long length = 0;
  if (!bio || PEM_read_bio(bio.get(), &name, &header, &data, &length) != 1) {
    return InvalidArgument("it is not well-formed PEM");
  }
  PemBlock block{.type = name,
                 .content = {reinterpret_cast<char*>(data), static_cast<size_t>(length)}};
  OPENSSL_free(name);
  OPENSSL_free(header);
  OPENSSL_free(data);
  if (BIO_pending(bio.get()) > 0) {
    return InvalidArgument("something follows the first block of PEM");
  }
  return block;
}

absl::Status CheckKind(EVP_PKEY* key) {
  const int id = EVP_PKEY_get_base_id(key);
  if (id == EVP_PKEY_ED25519) {
    return absl::OkStatus();
  }
  if (id == EVP_PKEY_RSA) {
    const int bits = EVP_PKEY_get_bits(key);
    return bits >= kMinRsaBits ? absl::OkStatus()
                               : InvalidArgument("an RSA key of {} bits is too weak, {} are needed",
                                                 bits, kMinRsaBits);
  }
  if (id == EVP_PKEY_EC) {
    char group[80] = {};
    size_t size = 0;
    if (EVP_PKEY_get_group_name(key, group, sizeof(group), &size) == 1) {
      const std::string_view name(group, size);
      if (name == "prime256v1" || name == "secp384r1" || name == "secp521r1") {
        return absl::OkStatus();
      }
      return InvalidArgument("the curve {} is not used for signatures of images", name);
    }
  }
  return InvalidArgument("it is neither an ECDSA, an RSA nor an Ed25519 key");
}

}  // namespace

absl::StatusOr<std::string> DecodePem(const std::string& pem) {
  ASSIGN_OR_RETURN(PemBlock block, ReadOneBlock(pem));
  return std::move(block.content);
}

absl::StatusOr<PublicKey> PublicKey::Adopt(evp_pkey_st* key) {
  std::shared_ptr<evp_pkey_st> owned(key, EVP_PKEY_free);
  const auto clear = absl::MakeCleanup([] { ERR_clear_error(); });
  if (!owned) {
    return InvalidArgument("it is not a well-formed public key");
  }
  RETURN_IF_ERROR(CheckKind(owned.get()));
  return PublicKey(std::move(owned));
}

absl::StatusOr<PublicKey> PublicKey::ParsePem(const std::string& pem) {
  ASSIGN_OR_RETURN(const PemBlock block, ReadOneBlock(pem));
  if (block.type != "PUBLIC KEY") {
    return InvalidArgument("it is PEM of \"{}\", not of \"PUBLIC KEY\"", Printable(block.type));
  }
  const unsigned char* position = Bytes(block.content);
  const unsigned char* const end = position + block.content.size();
  EVP_PKEY* const key = d2i_PUBKEY(nullptr, &position, static_cast<long>(block.content.size()));
  ASSIGN_OR_RETURN(PublicKey parsed, Adopt(key));
  if (position != end) {
    return InvalidArgument("bytes follow the key within its PEM");
  }
  return parsed;
}

bool PublicKey::Verifies(std::string_view message, std::string_view signature) const {
  const auto clear = absl::MakeCleanup([] { ERR_clear_error(); });
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(),
                                                                        EVP_MD_CTX_free);
  // Ed25519 hashes by itself.
  const EVP_MD* const hash =
      EVP_PKEY_get_base_id(key_.get()) == EVP_PKEY_ED25519 ? nullptr : EVP_sha256();
  return context && EVP_DigestVerifyInit(context.get(), nullptr, hash, nullptr, key_.get()) == 1 &&
         EVP_DigestVerify(context.get(), Bytes(signature), signature.size(), Bytes(message),
                          message.size()) == 1;
}

std::string PublicKey::Der() const {
  const int size = i2d_PUBKEY(key_.get(), nullptr);
  std::string der(static_cast<size_t>(std::max(size, 0)), '\0');
  auto* position = reinterpret_cast<unsigned char*>(der.data());
  if (size <= 0 || i2d_PUBKEY(key_.get(), &position) != size) {
    ERR_clear_error();
    return "";
  }
  return der;
}

}  // namespace davit::image
