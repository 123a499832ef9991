// SPDX-License-Identifier: Apache-2.0
#include "image/registries/certs.h"

#include "base/file.h"
#include "base/status.h"
#include "image/reference.h"

namespace davit::image {
namespace {

constexpr size_t kMaxPem = size_t{1} << 20U;
constexpr std::string_view kCertSuffix = ".cert";
constexpr std::string_view kKeySuffix = ".key";

absl::StatusOr<std::string> ReadPem(const std::string& file) {
  auto text = ReadFile(file, kMaxPem);
  if (!text.ok()) {
    return WithCode(absl::StatusCode::kFailedPrecondition,
                    Annotate(text.status(), "certificates of a registry"));
  }
  if (text->find("-----BEGIN ") == std::string::npos) {
    return FailedPrecondition("certificates of a registry: {} is not PEM", file);
  }
  return text;
}

std::string WithSuffix(const std::string& name, std::string_view from, std::string_view to) {
  return name.substr(0, name.size() - from.size()) + std::string(to);
}

}  // namespace

absl::StatusOr<TlsPtr> ReadCerts(const std::string& directory) {
  ASSIGN_OR_RETURN(const std::vector<std::string> names, ListDir(directory));
  Tls tls;
  for (const std::string& name : names) {
    const std::string file = JoinPath(directory, name);
    if (name.ends_with(".crt")) {
      ASSIGN_OR_RETURN(const std::string pem, ReadPem(file));
      tls.ca += pem + "\n";
    } else if (name.ends_with(kCertSuffix) && tls.cert.empty()) {
      const std::string key = JoinPath(directory, WithSuffix(name, kCertSuffix, kKeySuffix));
      ASSIGN_OR_RETURN(tls.cert, ReadPem(file));
      ASSIGN_OR_RETURN(tls.key, ReadPem(key));
    } else if (name.ends_with(kKeySuffix)) {
      const std::string cert = JoinPath(directory, WithSuffix(name, kKeySuffix, kCertSuffix));
      if (!PathExists(cert)) {
        return FailedPrecondition("certificates of a registry: {} has no certificate {}", file,
                                  cert);
      }
    }
  }
  return tls == Tls() ? TlsPtr() : std::make_shared<const Tls>(std::move(tls));
}

absl::StatusOr<TlsPtr> FindCerts(const std::vector<std::string>& directories,
                                 const std::string& host) {
  if (!IsDomain(host)) {  // it becomes part of a path
    return TlsPtr();
  }
  for (const std::string& directory : directories) {
    auto found = ReadCerts(JoinPath(directory, host));
    if (!absl::IsNotFound(found.status())) {
      return found;
    }
  }
  return TlsPtr();
}

absl::StatusOr<TlsPtr> FindCertsOfUrl(const std::vector<std::string>& directories,
                                      const std::string& host) {
  constexpr std::string_view kDefaultPort = ":443";
  ASSIGN_OR_RETURN(TlsPtr found, FindCerts(directories, host));
  if (found || !host.ends_with(kDefaultPort)) {
    return found;
  }
  return FindCerts(directories, host.substr(0, host.size() - kDefaultPort.size()));
}

}  // namespace davit::image
