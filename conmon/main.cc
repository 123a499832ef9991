// SPDX-License-Identifier: Apache-2.0
//
// davit-conmon: the monitor of one container, or (--exec) of one process that was executed in it,
// or
// (--infra) the first process of a pod's shared PID namespace. No heap, no C++ library, no threads;
// a few pages of memory for each container of a node.
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "conmon/exec.h"
#include "conmon/infra.h"
#include "conmon/monitor.h"
#include "conmon/options.h"
#include "conmon/protocol.h"
#include "conmon/sys.h"

namespace davit::conmon {
namespace {

// Tells the daemon, or whoever looks at stderr, what failed.
int Fail(const Options& options, Text what, int error) {
  FixedText<512> message;
  message << what;
  if (error != 0) {
    message << ": " << strerror(error);
  }
  StartReport report = {};
  report.version = kProtocolVersion;
  report.outcome = StartOutcome::kMonitorFailed;
  report.message_size = static_cast<uint32_t>(message.text().size);
  if (options.sync_fd == UINT64_MAX) {
    message << "\n";
    WriteAll(STDERR_FILENO, message.text());
  } else {
    const auto fd = static_cast<int>(options.sync_fd);
    WriteAll(fd, {reinterpret_cast<const char*>(&report), sizeof(report)});
    WriteAll(fd, message.text());
  }
  return 1;
}

int MonitorMain(int argc, char** argv) {
  Options options;
  if (const char* failure = ParseOptions(argc, argv, &options)) {
    return Fail(options, failure, 0);
  }
  if (options.exec) {
    const char* failure = RunExec(options);
    return failure == nullptr ? 0 : Fail(options, failure, errno);
  }
  Monitor monitor(options);
  if (const char* failure = monitor.Start()) {
    const int error = errno;
    unlink(kControlSocket);
    unlink(kSeccompSocket);
    return Fail(options, failure, error);
  }
  return monitor.Run();
}

}  // namespace
}  // namespace davit::conmon

int main(int argc, char** argv) {
  using namespace davit::conmon;
  if (argc == 1 && Equal(argv[0], kInfraName)) {
    return InfraMain();
  }
  if (argc > 1 && Equal(argv[1], "--infra")) {
    return InfraStartMain(argc, argv);
  }
  if (argc > 1 && Equal(argv[1], "--version")) {
    FixedText<64> text;
    text << "davit-conmon " << DAVIT_VERSION << " protocol " << uint64_t{kProtocolVersion} << "\n";
    return WriteAll(STDOUT_FILENO, text.text()) ? 0 : 1;
  }
  return MonitorMain(argc, argv);
}
