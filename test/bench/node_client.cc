// SPDX-License-Identifier: Apache-2.0
#include "test/bench/node_client.h"

#include <sys/stat.h>

#include <chrono>
#include <cstdio>
#include <mutex>
#include <thread>

#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

#include "base/id.h"
#include "base/status.h"
#include "server/api/api.grpc.pb.h"

namespace davit::bench {
namespace {

namespace v1 = runtime::v1;
using Clock = std::chrono::steady_clock;

constexpr std::chrono::seconds kDeadline{600};
constexpr std::chrono::seconds kReady{60};
constexpr int64_t kStopTimeoutSeconds = 10;
// Ends at once when asked to, and costs nothing until then. It says so when it can be asked:
// process 1 of a PID namespace ignores a signal that it has no handler for yet.
constexpr char kWork[] = "trap 'exit 0' TERM; echo ready; sleep 1000000 & wait";
constexpr char kLog[] = "work.log";

double MillisecondsSince(Clock::time_point begin) {
  return std::chrono::duration<double, std::milli>(Clock::now() - begin).count();
}

class GrpcNodeClient final : public NodeClient {
 public:
  explicit GrpcNodeClient(const Target& target)
      : target_(target),
        stub_(grpc::CreateChannel("unix://" + target.socket, grpc::InsecureChannelCredentials())) {}

  absl::Status Pull(Samples& samples) override {
    v1::PullImageRequest request;
    request.mutable_image()->set_image(target_.image);
    return Call<v1::PullImageResponse>(samples, "PullImage", "/runtime.v1.ImageService/PullImage",
                                       request)
        .status();
  }

  absl::Status ListImages(Samples& samples) override {
    return Call<v1::ListImagesResponse>(samples, "ListImages",
                                        "/runtime.v1.ImageService/ListImages",
                                        v1::ListImagesRequest())
        .status();
  }

  absl::Status RemoveImage(Samples& samples) override {
    v1::RemoveImageRequest request;
    request.mutable_image()->set_image(target_.image);
    return Call<v1::RemoveImageResponse>(samples, "RemoveImage",
                                         "/runtime.v1.ImageService/RemoveImage", request)
        .status();
  }

  absl::StatusOr<PodAndContainer> Run(const std::string& name, Samples& samples) override {
    const v1::PodSandboxConfig config = PodConfig(name);
    const std::string log = config.log_directory() + "/" + kLog;
    (void)std::remove(log.c_str());  // of a pod of that name before
    const auto begin = Clock::now();
    v1::RunPodSandboxRequest request;
    *request.mutable_config() = config;
    request.set_runtime_handler(target_.runtime_handler);
    ASSIGN_OR_RETURN(const auto pod, Call<v1::RunPodSandboxResponse>(
                                         samples, "RunPodSandbox",
                                         "/runtime.v1.RuntimeService/RunPodSandbox", request));
    PodAndContainer made{.pod = pod.pod_sandbox_id(), .container = "", .log = log};
    const absl::Status started = StartIn(made, config, samples);
    if (!started.ok()) {
      Samples ignored;
      (void)RemovePod(made, ignored);
      return started;
    }
    samples.Add("nothing to running", MillisecondsSince(begin));
    return made;
  }

  absl::Status ExecTrue(const PodAndContainer& made, Samples& samples) override {
    v1::ExecSyncRequest request;
    request.set_container_id(made.container);
    request.add_cmd("/bin/true");
    request.set_timeout(30);
    ASSIGN_OR_RETURN(const auto response,
                     Call<v1::ExecSyncResponse>(samples, "ExecSync /bin/true",
                                                "/runtime.v1.RuntimeService/ExecSync", request));
    return response.exit_code() == 0 ? absl::OkStatus()
                                     : Internal("/bin/true ended with {} in container {}",
                                                response.exit_code(), made.container);
  }

  absl::StatusOr<std::string> ExecUrl(const PodAndContainer& made,
                                      const std::vector<std::string>& command) override {
    v1::ExecRequest request;
    request.set_container_id(made.container);
    request.mutable_cmd()->Assign(command.begin(), command.end());
    request.set_stdout(true);
    Samples ignored;
    ASSIGN_OR_RETURN(
        const auto response,
        Call<v1::ExecResponse>(ignored, "Exec", "/runtime.v1.RuntimeService/Exec", request));
    return response.url();
  }

  absl::StatusOr<std::string> Version(Samples& samples) override {
    ASSIGN_OR_RETURN(
        const auto response,
        Call<v1::VersionResponse>(samples, "Version", "/runtime.v1.RuntimeService/Version",
                                  v1::VersionRequest()));
    return response.runtime_name() + " " + response.runtime_version();
  }

  absl::Status ListPods(Samples& samples) override {
    return Call<v1::ListPodSandboxResponse>(samples, "ListPodSandbox",
                                            "/runtime.v1.RuntimeService/ListPodSandbox",
                                            v1::ListPodSandboxRequest())
        .status();
  }

  absl::StatusOr<size_t> ListContainers(Samples& samples) override {
    ASSIGN_OR_RETURN(const auto response,
                     Call<v1::ListContainersResponse>(samples, "ListContainers",
                                                      "/runtime.v1.RuntimeService/ListContainers",
                                                      v1::ListContainersRequest()));
    return static_cast<size_t>(response.containers_size());
  }

  absl::Status ListContainerStats(Samples& samples) override {
    return Call<v1::ListContainerStatsResponse>(samples, "ListContainerStats",
                                                "/runtime.v1.RuntimeService/ListContainerStats",
                                                v1::ListContainerStatsRequest())
        .status();
  }

  absl::Status ImageFsInfo(Samples& samples) override {
    return Call<v1::ImageFsInfoResponse>(samples, "ImageFsInfo",
                                         "/runtime.v1.ImageService/ImageFsInfo",
                                         v1::ImageFsInfoRequest())
        .status();
  }

  absl::Status StatusOf(const PodAndContainer& made, Samples& samples) override {
    RETURN_IF_ERROR(Call<v1::StatusResponse>(samples, "Status", "/runtime.v1.RuntimeService/Status",
                                             v1::StatusRequest())
                        .status());
    v1::PodSandboxStatusRequest pod;
    pod.set_pod_sandbox_id(made.pod);
    RETURN_IF_ERROR(
        Call<v1::PodSandboxStatusResponse>(samples, "PodSandboxStatus",
                                           "/runtime.v1.RuntimeService/PodSandboxStatus", pod)
            .status());
    v1::ContainerStatusRequest container;
    container.set_container_id(made.container);
    return Call<v1::ContainerStatusResponse>(
               samples, "ContainerStatus", "/runtime.v1.RuntimeService/ContainerStatus", container)
        .status();
  }

  std::map<std::string, grpc::ByteBuffer> LastAnswers() override {
    const std::lock_guard lock(answers_mutex_);
    return answers_;
  }

  absl::Status Remove(const PodAndContainer& made, Samples& samples) override {
    RETURN_IF_ERROR(AwaitLog(made));
    v1::StopContainerRequest stop;
    stop.set_container_id(made.container);
    stop.set_timeout(kStopTimeoutSeconds);
    RETURN_IF_ERROR(Call<v1::StopContainerResponse>(
                        samples, "StopContainer", "/runtime.v1.RuntimeService/StopContainer", stop)
                        .status());
    v1::RemoveContainerRequest remove;
    remove.set_container_id(made.container);
    RETURN_IF_ERROR(Call<v1::RemoveContainerResponse>(samples, "RemoveContainer",
                                                      "/runtime.v1.RuntimeService/RemoveContainer",
                                                      remove)
                        .status());
    return RemovePod(made, samples);
  }

 private:
  // The time until the answer's bytes are here: what a client makes of them is not the server's.
  template <typename Response, typename Request>
  absl::StatusOr<Response> Call(Samples& samples, const char* name, const char* method,
                                const Request& request) {
    grpc::ByteBuffer sent;
    bool own_buffer = false;
    grpc::SerializationTraits<Request>::Serialize(request, &sent, &own_buffer);
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + kDeadline);
    context.set_wait_for_ready(true);
    grpc::CompletionQueue queue;
    grpc::ByteBuffer received;
    grpc::Status status;
    const auto begin = Clock::now();
    const auto call = stub_.PrepareUnaryCall(&context, method, sent, &queue);
    call->StartCall();
    call->Finish(&received, &status, nullptr);
    void* tag = nullptr;
    bool done = false;
    queue.Next(&tag, &done);
    const double taken = MillisecondsSince(begin);
    Response response;
    if (status.ok()) {
      KeepAnswer(method, received);
      status = grpc::SerializationTraits<Response>::Deserialize(&received, &response);
    }
    if (!status.ok()) {
      return Internal("{}: {} (code {})", name, status.error_message(),
                      static_cast<int>(status.error_code()));
    }
    samples.Add(name, taken);
    return response;
  }

  void KeepAnswer(const std::string& method, const grpc::ByteBuffer& answer) {
    const std::lock_guard lock(answers_mutex_);
    answers_[method] = answer;  // shares the bytes
  }

  // The first line of the container.
  static absl::Status AwaitLog(const PodAndContainer& made) {
    const auto deadline = Clock::now() + kReady;
    struct stat info = {};
    while (stat(made.log.c_str(), &info) != 0 || info.st_size == 0) {
      if (Clock::now() > deadline) {
        return Internal("container {} has logged nothing to {}", made.container, made.log);
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return absl::OkStatus();
  }

  [[nodiscard]] v1::PodSandboxConfig PodConfig(const std::string& name) const {
    v1::PodSandboxConfig config;
    config.mutable_metadata()->set_name(name);
    config.mutable_metadata()->set_namespace_("bench");
    config.mutable_metadata()->set_uid(NewId().substr(0, 32));
    config.set_hostname("bench");
    config.set_log_directory(target_.log_directory + "/" + name);
    config.mutable_linux()->set_cgroup_parent(target_.cgroup_parent + "/" + name);
    config.mutable_linux()->mutable_security_context()->mutable_namespace_options()->set_pid(
        v1::CONTAINER);
    return config;
  }

  [[nodiscard]] v1::ContainerConfig ContainerConfig() const {
    v1::ContainerConfig config;
    config.mutable_metadata()->set_name("work");
    config.mutable_image()->set_image(target_.image);
    config.mutable_image()->set_user_specified_image(target_.image);
    config.add_command("/bin/sh");
    config.add_args("-c");
    config.add_args(kWork);
    config.set_log_path(kLog);
    config.mutable_linux()->mutable_security_context()->mutable_namespace_options()->set_pid(
        v1::CONTAINER);
    return config;
  }

  absl::Status StartIn(PodAndContainer& made, const v1::PodSandboxConfig& pod, Samples& samples) {
    v1::CreateContainerRequest create;
    create.set_pod_sandbox_id(made.pod);
    *create.mutable_config() = ContainerConfig();
    *create.mutable_sandbox_config() = pod;
    ASSIGN_OR_RETURN(
        const auto container,
        Call<v1::CreateContainerResponse>(samples, "CreateContainer",
                                          "/runtime.v1.RuntimeService/CreateContainer", create));
    made.container = container.container_id();
    v1::StartContainerRequest start;
    start.set_container_id(made.container);
    return Call<v1::StartContainerResponse>(samples, "StartContainer",
                                            "/runtime.v1.RuntimeService/StartContainer", start)
        .status();
  }

  absl::Status RemovePod(const PodAndContainer& made, Samples& samples) {
    v1::StopPodSandboxRequest stop;
    stop.set_pod_sandbox_id(made.pod);
    RETURN_IF_ERROR(Call<v1::StopPodSandboxResponse>(samples, "StopPodSandbox",
                                                     "/runtime.v1.RuntimeService/StopPodSandbox",
                                                     stop)
                        .status());
    v1::RemovePodSandboxRequest remove;
    remove.set_pod_sandbox_id(made.pod);
    return Call<v1::RemovePodSandboxResponse>(samples, "RemovePodSandbox",
                                              "/runtime.v1.RuntimeService/RemovePodSandbox", remove)
        .status();
  }

  const Target target_;
  grpc::GenericStub stub_;
  std::mutex answers_mutex_;
  std::map<std::string, grpc::ByteBuffer> answers_;
};

}  // namespace

std::unique_ptr<NodeClient> NodeClient::Create(const Target& target) {
  return std::make_unique<GrpcNodeClient>(target);
}

}  // namespace davit::bench
