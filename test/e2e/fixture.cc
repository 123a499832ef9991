// SPDX-License-Identifier: Apache-2.0
#include "test/e2e/fixture.h"

#include <stdexcept>

#include "base/file.h"
#include "base/text.h"
#include "test/e2e/isolation.h"

namespace davit::e2e {

void E2eTest::SetUp() {
  if (const std::string why = WhyNot(); !why.empty()) {
    GTEST_SKIP() << why;
  }
  daemon_ = std::make_unique<TestDaemon>();
  TakeBaseline();
  if (StartsDaemon()) {
    StartDaemon(DaemonOptions());
  }
}

void E2eTest::TearDown() {
  if (!daemon_) {
    return;
  }
  if (daemon_->running()) {
    try {
      RemoveEverything();
    } catch (const std::exception& error) {  // the daemon's log is wanted the more
      ADD_FAILURE() << error.what();
    }
  }
  EXPECT_EQ(Leaks(), "") << "left behind by the test";
  if (daemon_->running()) {
    EXPECT_EQ(LeakCheck::DescriptorLeaks(daemon_->pid(), descriptors_), "");
    EXPECT_EQ(daemon_->Stop(), 0);
    EXPECT_FALSE(PathExists(daemon_->socket()));
  }
  if (HasFailure()) {
    const std::string log = daemon_->Log();
    constexpr size_t kShown = 12000;
    ADD_FAILURE() << "log of the daemon:\n"
                  << log.substr(log.size() > kShown ? log.size() - kShown : 0);
  }
}

void E2eTest::StartDaemon(const TestDaemon::Options& options) {
  daemon_->Start(options);
  RememberDescriptors();
}

void E2eTest::RememberDescriptors() {
  descriptors_ = LeakCheck::Descriptors(daemon_->pid());
}

void E2eTest::RestartDaemon(const TestDaemon::Options& options) {
  daemon_->Kill();
  StartDaemon(options);
}

v1::PodSandboxConfig E2eTest::PodConfig(const std::string& name) {
  v1::PodSandboxConfig config;
  config.mutable_metadata()->set_name(name);
  config.mutable_metadata()->set_namespace_("e2e");
  config.mutable_metadata()->set_uid("uid-of-" + name);
  config.set_hostname(name);
  config.set_log_directory(daemon_->logs() + "/" + name);
  config.mutable_linux()->mutable_security_context()->mutable_namespace_options()->set_pid(
      v1::CONTAINER);
  return config;
}

Pod E2eTest::RunPod(const v1::PodSandboxConfig& config) {
  v1::RunPodSandboxRequest request;
  *request.mutable_config() = config;
  return {.id = Must(client().RunPodSandbox(request), "RunPodSandbox").pod_sandbox_id(),
          .config = config};
}

v1::PodSandboxStatus E2eTest::PodStatus(const std::string& id) {
  v1::PodSandboxStatusRequest request;
  request.set_pod_sandbox_id(id);
  return Must(client().PodSandboxStatus(request), "PodSandboxStatus").status();
}

void E2eTest::StopPod(const std::string& id) {
  v1::StopPodSandboxRequest request;
  request.set_pod_sandbox_id(id);
  Must(client().StopPodSandbox(request), "StopPodSandbox");
}

void E2eTest::RemovePod(const std::string& id) {
  v1::RemovePodSandboxRequest request;
  request.set_pod_sandbox_id(id);
  Must(client().RemovePodSandbox(request), "RemovePodSandbox");
}

std::vector<v1::PodSandbox> E2eTest::Pods(const v1::PodSandboxFilter& filter) {
  v1::ListPodSandboxRequest request;
  *request.mutable_filter() = filter;
  const auto response = Must(client().ListPodSandbox(request), "ListPodSandbox");
  return {response.items().begin(), response.items().end()};
}

std::string E2eTest::Pull(const std::string& fixture) {
  v1::PullImageRequest request;
  request.mutable_image()->set_image(registry().Image(fixture));
  Must(client().PullImage(request), "PullImage");
  return request.image().image();
}

v1::ContainerConfig E2eTest::Container(const std::string& name,
                                       const std::vector<std::string>& command,
                                       const std::string& image) {
  v1::ContainerConfig config;
  config.mutable_metadata()->set_name(name);
  config.mutable_image()->set_image(registry().host() + "/" + image + ":latest");
  config.mutable_command()->Assign(command.begin(), command.end());
  config.set_log_path(name + ".log");
  config.mutable_linux()->mutable_security_context()->mutable_namespace_options()->set_pid(
      v1::CONTAINER);
  return config;
}

v1::ContainerConfig E2eTest::ShellContainer(const std::string& name, const std::string& script) {
  return Container(name, {"sh", "-c", script});
}

v1::CreateContainerRequest E2eTest::CreateRequest(const Pod& pod,
                                                  const v1::ContainerConfig& config) {
  v1::CreateContainerRequest request;
  request.set_pod_sandbox_id(pod.id);
  *request.mutable_config() = config;
  *request.mutable_sandbox_config() = pod.config;
  return request;
}

std::string E2eTest::Create(const Pod& pod, const v1::ContainerConfig& config) {
  return Must(client().CreateContainer(CreateRequest(pod, config)), "CreateContainer")
      .container_id();
}

absl::Status E2eTest::StartContainer(const std::string& id) {
  v1::StartContainerRequest request;
  request.set_container_id(id);
  return client().StartContainer(request).status();
}

std::string E2eTest::Run(const Pod& pod, const v1::ContainerConfig& config) {
  std::string id = Create(pod, config);
  Must(StartContainer(id), "StartContainer");
  return id;
}

v1::ContainerStatus E2eTest::Status(const std::string& id) {
  v1::ContainerStatusRequest request;
  request.set_container_id(id);
  return Must(client().ContainerStatus(request), "ContainerStatus").status();
}

absl::Status E2eTest::StopContainer(const std::string& id, int64_t grace_seconds) {
  v1::StopContainerRequest request;
  request.set_container_id(id);
  request.set_timeout(grace_seconds);
  return client().StopContainer(request).status();
}

void E2eTest::RemoveContainer(const std::string& id) {
  v1::RemoveContainerRequest request;
  request.set_container_id(id);
  Must(client().RemoveContainer(request), "RemoveContainer");
}

std::vector<v1::Container> E2eTest::Containers(const v1::ContainerFilter& filter) {
  v1::ListContainersRequest request;
  *request.mutable_filter() = filter;
  const auto response = Must(client().ListContainers(request), "ListContainers");
  return {response.containers().begin(), response.containers().end()};
}

v1::ContainerStatus E2eTest::AwaitExit(const std::string& id) {
  v1::ContainerStatus status;
  if (!Eventually([&] {
        status = Status(id);
        return status.state() == v1::CONTAINER_EXITED;
      })) {
    throw std::runtime_error("container " + id + " does not end: " + status.ShortDebugString());
  }
  return status;
}

void E2eTest::ExpectNullIsNotOf(uint32_t user) {
  struct stat null = {};
  ASSERT_EQ(stat("/dev/null", &null), 0);
  if (null.st_uid == user) {
    ADD_FAILURE() << "the node's /dev/null belongs to a user of containers";
    EXPECT_EQ(chown("/dev/null", 0, 0), 0);
  }
}

v1::ExecSyncResponse E2eTest::Exec(const std::string& id, const std::vector<std::string>& command) {
  v1::ExecSyncRequest request;
  request.set_container_id(id);
  request.mutable_cmd()->Assign(command.begin(), command.end());
  return Must(client().ExecSync(request), "ExecSync " + Join(command, " "));
}

std::string E2eTest::ShellIn(const std::string& id, const std::string& script) {
  const auto response = Exec(id, {"sh", "-c", script});
  EXPECT_EQ(response.exit_code(), 0) << script << ": " << response.stderr();
  return response.stdout();
}

std::string E2eTest::LogPath(const Pod& pod, const std::string& name) {
  return pod.config.log_directory() + "/" + name + ".log";
}

std::vector<LogLine> E2eTest::Log(const std::string& path) {
  const std::string text = Must(ReadFile(path, size_t{1} << 30U));
  std::vector<LogLine> lines;
  size_t position = 0;
  while (position < text.size()) {
    const size_t end = text.find('\n', position);
    if (end == std::string::npos) {
      ADD_FAILURE() << path << ": the last line has no end";
      break;
    }
    const std::string line = text.substr(position, end - position);
    position = end + 1;
    const size_t stream = line.find(' ');
    const size_t tag = line.find(' ', stream + 1);
    if (stream == std::string::npos || tag == std::string::npos || tag + 2 >= line.size() ||
        line[tag + 2] != ' ' || (line[tag + 1] != 'F' && line[tag + 1] != 'P')) {
      ADD_FAILURE() << path << ": not a CRI log line: " << Printable(line);
      continue;
    }
    lines.push_back({.time = line.substr(0, stream),
                     .stream = line.substr(stream + 1, tag - stream - 1),
                     .full = line[tag + 1] == 'F',
                     .text = line.substr(tag + 3)});
  }
  return lines;
}

std::string E2eTest::LogText(const std::string& path) {
  std::string text;
  for (const auto& line : Log(path)) {
    if (line.stream == "stdout") {
      text += line.text + (line.full ? "\n" : "");
    }
  }
  return text;
}

void E2eTest::AwaitLog(const std::string& path, const std::string& text) {
  if (!Eventually([&] { return ReadFile(path).value_or("").find(text) != std::string::npos; })) {
    throw std::runtime_error(path + " does not come to hold " + text + ", but " +
                             ReadFile(path).value_or("nothing"));
  }
}

void E2eTest::RemoveEverything() {
  for (const auto& pod : Pods()) {
    RemovePod(pod.id());
  }
}

void ExpectError(const absl::Status& status, absl::StatusCode code, const std::string& text) {
  EXPECT_EQ(status.code(), code) << status;
  EXPECT_NE(std::string(status.message()).find(text), std::string::npos)
      << "the message should hold \"" << text << "\": " << status;
}

}  // namespace davit::e2e
