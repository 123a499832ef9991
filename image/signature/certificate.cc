// SPDX-License-Identifier: Apache-2.0
#include "image/signature/certificate.h"

#include <memory>

#include "absl/cleanup/cleanup.h"
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "base/status.h"
#include "base/text.h"

namespace davit::image {
namespace {

// Extensions of Fulcio (its doc/oid-info.md): who vouched for the signer.
constexpr const char* kIssuerOid = "1.3.6.1.4.1.57264.1.1";    // the raw text
constexpr const char* kIssuerV2Oid = "1.3.6.1.4.1.57264.1.8";  // a DER UTF8String

constexpr size_t kMaxCertificates = 32;
constexpr size_t kMaxPemBytes = 256U << 10U;

struct FreeX509 {
  void operator()(X509* certificate) const { X509_free(certificate); }
  void operator()(STACK_OF(X509) * stack) const { sk_X509_pop_free(stack, X509_free); }
  void operator()(X509_STORE* store) const { X509_STORE_free(store); }
  void operator()(X509_STORE_CTX* context) const { X509_STORE_CTX_free(context); }
  void operator()(GENERAL_NAMES* names) const { GENERAL_NAMES_free(names); }
  void operator()(BIO* bio) const { BIO_free(bio); }
  void operator()(ASN1_OBJECT* object) const { ASN1_OBJECT_free(object); }
  void operator()(ASN1_UTF8STRING* text) const { ASN1_UTF8STRING_free(text); }
};
template <typename T>
using Owned = std::unique_ptr<T, FreeX509>;
using Certificates = Owned<STACK_OF(X509)>;

absl::StatusOr<Certificates> ParseCertificates(const std::string& pem) {
  Certificates stack(sk_X509_new_null());
  const Owned<BIO> bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  if (!stack || !bio || pem.size() > kMaxPemBytes) {
    return InvalidArgument("the certificates are too large");
  }
  while (Owned<X509> certificate{PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)}) {
    if (static_cast<size_t>(sk_X509_num(stack.get())) >= kMaxCertificates) {
      return InvalidArgument("there are more than {} certificates", kMaxCertificates);
    }
    sk_X509_push(stack.get(), certificate.release());
  }
  const unsigned long error = ERR_peek_last_error();
  if (ERR_GET_LIB(error) != ERR_LIB_PEM || ERR_GET_REASON(error) != PEM_R_NO_START_LINE) {
    return InvalidArgument("a certificate is not well-formed PEM");
  }
  ERR_clear_error();
  return stack;
}

absl::StatusOr<Owned<X509>> ParseLeaf(const std::string& pem) {
  auto stack = ParseCertificates(pem);
  if (!stack.ok() || sk_X509_num(stack->get()) != 1) {
    return PermissionDenied("it does not come with exactly one well-formed certificate");
  }
  return Owned<X509>(sk_X509_pop(stack->get()));
}

// Trusted intermediates, then those that came with the signature.
absl::StatusOr<Certificates> Intermediates(const std::string& trusted, const std::string& chain) {
  ASSIGN_OR_RETURN(Certificates all, ParseCertificates(trusted));
  auto own = ParseCertificates(chain);
  if (!own.ok()) {
    return PermissionDenied("the chain of its certificate: {}", Message(own.status()));
  }
  while (X509* certificate = sk_X509_pop(own->get())) {
    sk_X509_push(all.get(), certificate);
  }
  return all;
}

// A certificate that does not say what it is for may do for an own CA, not for Fulcio.
absl::Status CheckUsage(X509* certificate, bool has_to_say) {
  const bool says = (X509_get_extension_flags(certificate) & EXFLAG_XKUSAGE) != 0;
  const uint32_t usage = says ? X509_get_extended_key_usage(certificate) : 0;
  const bool fits = says ? (usage & (XKU_CODE_SIGN | XKU_ANYEKU)) != 0 : !has_to_say;
  return fits ? absl::OkStatus()
              : PermissionDenied("its certificate, or a CA of it, is not for code signing");
}

absl::Status CheckChain(const CertificateTrust& trust, X509* leaf, STACK_OF(X509) * intermediates,
                        std::time_t at) {
  auto roots = ParseCertificates(trust.roots);
  if (!roots.ok() || sk_X509_num(roots->get()) == 0) {
    return InvalidArgument("there is no well-formed certificate of a CA");
  }
  const Owned<X509_STORE> store(X509_STORE_new());
  const Owned<X509_STORE_CTX> context(X509_STORE_CTX_new());
  for (int i = 0; i < sk_X509_num(roots->get()); ++i) {
    X509_STORE_add_cert(store.get(), sk_X509_value(roots->get(), i));
  }
  if (X509_STORE_CTX_init(context.get(), store.get(), leaf, intermediates) != 1) {
    return Internal("libcrypto cannot check a certificate");
  }
  // What the policy names is trusted, self-signed or not.
  X509_VERIFY_PARAM* const parameters = X509_STORE_CTX_get0_param(context.get());
  X509_VERIFY_PARAM_set_flags(parameters, X509_V_FLAG_PARTIAL_CHAIN);
  X509_VERIFY_PARAM_set_time(parameters, at);
  if (X509_verify_cert(context.get()) != 1) {
    return PermissionDenied("its certificate is not of a trusted CA: {}",
                            X509_verify_cert_error_string(X509_STORE_CTX_get_error(context.get())));
  }
  STACK_OF(X509)* const chain = X509_STORE_CTX_get0_chain(context.get());
  for (int i = 0; i < sk_X509_num(chain); ++i) {
    RETURN_IF_ERROR(CheckUsage(sk_X509_value(chain, i), i == 0 && !trust.oidc_issuer.empty()));
  }
  return absl::OkStatus();
}

std::string TextOf(const ASN1_STRING* text) {
  return {reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
          static_cast<size_t>(ASN1_STRING_length(text))};
}

// The values of the extension, however often it is there.
std::vector<std::string> ExtensionValues(const X509* certificate, const char* oid) {
  std::vector<std::string> values;
  const Owned<ASN1_OBJECT> object(OBJ_txt2obj(oid, 1));
  for (int at = X509_get_ext_by_OBJ(certificate, object.get(), -1); at >= 0;
       at = X509_get_ext_by_OBJ(certificate, object.get(), at)) {
    values.push_back(TextOf(X509_EXTENSION_get_data(X509_get_ext(certificate, at))));
  }
  return values;
}

absl::StatusOr<std::string> DecodeUtf8(const std::string& der) {
  const auto* position = reinterpret_cast<const unsigned char*>(der.data());
  const auto* const end = position + der.size();
  const Owned<ASN1_UTF8STRING> text(
      d2i_ASN1_UTF8STRING(nullptr, &position, static_cast<long>(der.size())));
  if (!text || position != end) {
    return PermissionDenied("the OIDC issuer of its certificate is not well-formed");
  }
  return TextOf(text.get());
}

absl::Status CheckIssuer(const X509* certificate, const std::string& wanted) {
  std::vector<std::string> issuers = ExtensionValues(certificate, kIssuerOid);
  for (const std::string& der : ExtensionValues(certificate, kIssuerV2Oid)) {
    ASSIGN_OR_RETURN(std::string issuer, DecodeUtf8(der));
    issuers.push_back(std::move(issuer));
  }
  if (issuers.empty()) {
    return PermissionDenied("its certificate names no OIDC issuer");
  }
  for (const std::string& issuer : issuers) {
    if (issuer != wanted) {
      return PermissionDenied("its certificate is by OIDC issuer '{}', not '{}'", Printable(issuer),
                              wanted);
    }
  }
  return absl::OkStatus();
}

absl::Status CheckEmail(const X509* certificate, const std::string& wanted) {
  const Owned<GENERAL_NAMES> names(static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
  for (int i = 0; names && i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const GENERAL_NAME* const name = sk_GENERAL_NAME_value(names.get(), i);
    if (name->type == GEN_EMAIL && TextOf(name->d.rfc822Name) == wanted) {
      return absl::OkStatus();
    }
  }
  return PermissionDenied("its certificate is not of {}", wanted);
}

absl::Status CheckSubject(const CertificateTrust& trust, X509* leaf) {
  if (!trust.oidc_issuer.empty()) {
    RETURN_IF_ERROR(CheckIssuer(leaf, trust.oidc_issuer));
  }
  if (!trust.subject_email.empty()) {
    RETURN_IF_ERROR(CheckEmail(leaf, trust.subject_email));
  }
  const std::string& host = trust.subject_hostname;
  if (!host.empty() && X509_check_host(leaf, host.data(), host.size(),
                                       X509_CHECK_FLAG_NEVER_CHECK_SUBJECT, nullptr) != 1) {
    return PermissionDenied("its certificate is not of host {}", host);
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<PublicKey> KeyOfCertificate(const CertificateTrust& trust,
                                           const std::string& certificate, const std::string& chain,
                                           std::time_t at) {
  const auto clear = absl::MakeCleanup([] { ERR_clear_error(); });
  ERR_clear_error();
  ASSIGN_OR_RETURN(const Owned<X509> leaf, ParseLeaf(certificate));
  ASSIGN_OR_RETURN(const Certificates intermediates, Intermediates(trust.intermediates, chain));
  RETURN_IF_ERROR(CheckChain(trust, leaf.get(), intermediates.get(), at));
  RETURN_IF_ERROR(CheckSubject(trust, leaf.get()));
  auto key = PublicKey::Adopt(X509_get_pubkey(leaf.get()));
  if (!key.ok()) {
    return PermissionDenied("the key of its certificate: {}", Message(key.status()));
  }
  return key;
}

}  // namespace davit::image
