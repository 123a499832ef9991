// SPDX-License-Identifier: Apache-2.0
//
// davit-bad-registry: a registry on loopback with the one image app:1, that misbehaves as it is
// told, until it is interrupted: to see by hand what a daemon makes of it.

#include <csignal>
#include <string>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "test/registry/faults.h"

int main(int argc, char** argv) {
  CLI::App app("A registry that misbehaves: 127.0.0.1:PORT/app:1");
  std::string name;
  uint16_t port = 0;
  app.add_option("--fault", name, "what it does wrong; without it the list of faults is printed");
  app.add_option("--port", port, "to listen on (default: any)");
  CLI11_PARSE(app, argc, argv);
  for (const auto& fault : davit::test::RegistryFaults()) {
    if (name.empty()) {
      fmt::print("{:24} {}\n", fault.name, fault.what);
    } else if (fault.name == name) {
      sigset_t signals;
      sigemptyset(&signals);
      sigaddset(&signals, SIGINT);
      sigaddset(&signals, SIGTERM);
      pthread_sigmask(SIG_BLOCK, &signals, nullptr);
      davit::image::FakeRegistry registry(port);
      const davit::image::FakeImage image = davit::test::FaultImage();
      registry.Add("app", "1", image);
      fault.apply(registry, image);
      fmt::print("{}/app:1: {}\n", registry.host(), fault.what);
      std::fflush(stdout);
      int received = 0;
      return sigwait(&signals, &received);
    }
  }
  if (!name.empty()) {
    fmt::print(stderr, "davit-bad-registry: no fault is called {}\n", name);
  }
  return name.empty() ? 0 : 2;
}
