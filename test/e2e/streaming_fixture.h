// SPDX-License-Identifier: Apache-2.0
//
// A daemon with one pod whose streaming server runs already, so that a test that counts the
// daemon's descriptors does not count what comes with the first connection.
#pragma once

#include "test/e2e/fixture.h"
#include "test/streaming/connection.h"

namespace davit::e2e {

class StreamingTest : public E2eTest {
 protected:
  void SetUp() override {
    E2eTest::SetUp();
    if (IsSkipped()) {
      return;
    }
    Pull("busybox");
    pod_ = RunPod("pod");
    v1::PortForwardRequest request;
    request.set_pod_sandbox_id(pod_.id);
    test_streaming::Connection connection(
        test_streaming::ParseUrl(Must(client().PortForward(request)).url()));
    connection.Write("\r\n\r\n");
    connection.ReadHead();  // the streaming thread runs, and stays
    RememberDescriptors();
  }

  // A container that does nothing, for long.
  std::string Sleeper() { return Run(pod_, ShellContainer("sleeper", "exec sleep 1000")); }

  Pod pod_;
};

}  // namespace davit::e2e
