// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>

#include <gmock/gmock.h>

#include "base/text.h"
#include "image/http.h"
#include "image/pull_fixture.h"

namespace davit::image {
namespace {

using Strings = std::vector<std::string>;

// An HTTP proxy that passes requests for any host on to one server.
class FakeProxy {
 public:
  explicit FakeProxy(std::string target) : target_(std::move(target)) {}
  [[nodiscard]] std::string url(const std::string& user = "") const {
    return "http://" + user + server_.host();
  }
  Strings TakeTargets() {
    absl::MutexLock lock(&mutex_);
    return std::exchange(targets_, {});
  }

 private:
  FakeResponse Handle(const FakeRequest& request) {
    {
      absl::MutexLock lock(&mutex_);
      targets_.push_back(request.method + " " + request.target + " " +
                         request.Header("proxy-authorization"));
    }
    if (request.method == "CONNECT" || !request.target.starts_with("http://")) {
      return {.status = 502};
    }
    HttpRequest onward;
    onward.url =
        *Url::Parse("http://" + target_ + request.target.substr(request.target.find('/', 7)));
    onward.headers = {"Accept: " + request.Header("accept")};
    FakeResponse response;
    Context ctx;
    HttpConnection connection;
    const auto answer =
        connection.Run(ctx, onward, [&](const HttpResponse&, std::span<const uint8_t> bytes) {
          response.body.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
          return absl::OkStatus();
        });
    response.status = answer.ok() ? answer->status : 502;
    response.headers = {{"Content-Type", answer.ok() ? answer->Header("content-type") : ""}};
    return response;
  }

  const std::string target_;
  absl::Mutex mutex_;
  Strings targets_ ABSL_GUARDED_BY(mutex_);
  FakeServer server_{[this](const FakeRequest& request) { return Handle(request); }};
};

class PullProxyTest : public PullFixture {
 protected:
  PullProxyTest() {
    registry_.Add("app", "1", MakeImage({Tar({{"a", "1"}})}));
    // libcurl knows this name as loopback without asking anybody; to us it is a host as any other.
    name_ = "registry.localhost:" + registry_.host().substr(registry_.host().find(':') + 1);
    config_.insecure_registries = {name_};
    MakePuller();
  }
  ~PullProxyTest() override {
    for (const char* variable : kVariables) {
      unsetenv(variable);
    }
  }
  PullProxyTest(const PullProxyTest&) = delete;
  PullProxyTest& operator=(const PullProxyTest&) = delete;

  static constexpr const char* kVariables[] = {"HTTP_PROXY",  "http_proxy", "HTTPS_PROXY",
                                               "https_proxy", "NO_PROXY",   "no_proxy"};
  std::string name_;
  FakeProxy proxy_{registry_.host()};
};

TEST_F(PullProxyTest, PullGoesThroughTheProxy) {
  for (const bool upper : {true, false}) {
    unsetenv("HTTP_PROXY");
    unsetenv("http_proxy");
    setenv(upper ? "HTTP_PROXY" : "http_proxy", proxy_.url("user:hunter2@").c_str(), 1);
    setenv(upper ? "HTTPS_PROXY" : "https_proxy", proxy_.url().c_str(), 1);
    const auto result = Pull(name_ + "/app:1");
    ASSERT_TRUE(result.ok()) << result.status();
    const Strings targets = proxy_.TakeTargets();
    ASSERT_GE(targets.size(), 2U);
    EXPECT_EQ(targets[0], "CONNECT " + name_ + " ") << "TLS is tried first";
    EXPECT_THAT(targets, testing::Contains("GET http://" + name_ +
                                           "/v2/app/manifests/1 Basic dXNlcjpodW50ZXIy"));
    ASSERT_TRUE(storage_->RemoveImage(result->image_id).ok());
  }
}

TEST_F(PullProxyTest, NoProxyAndLoopbackGoDirectly) {
  setenv("HTTP_PROXY", proxy_.url().c_str(), 1);
  setenv("HTTPS_PROXY", proxy_.url().c_str(), 1);
  setenv("NO_PROXY", "other.example,.localhost", 1);
  EXPECT_TRUE(Pull(name_ + "/app:1").ok());
  unsetenv("NO_PROXY");
  EXPECT_TRUE(Pull(Name("/app:1")).ok());
  EXPECT_EQ(proxy_.TakeTargets(), Strings{});
}

TEST_F(PullProxyTest, ADeadProxysPasswordIsNotShown) {
  setenv("HTTP_PROXY", "http://user:hunter2@127.0.0.1:1", 1);
  setenv("HTTPS_PROXY", "http://user:hunter2@127.0.0.1:1", 1);
  const auto result = Pull(name_ + "/app:1");
  ExpectFailure(result, absl::StatusCode::kUnavailable, {name_});
  EXPECT_EQ(result.status().ToString().find("hunter2"), std::string::npos);
}

}  // namespace
}  // namespace davit::image
