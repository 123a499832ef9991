// SPDX-License-Identifier: Apache-2.0
#include "test/e2e/command.h"

#include <stdexcept>

#include "base/text.h"
#include "test/e2e/wait.h"

namespace davit::e2e {

RunResult RunCommand(const std::vector<std::string>& argv, const std::vector<std::string>& env) {
  Context ctx(60s);
  SpawnOptions spawn;
  spawn.argv = argv;
  spawn.argv.front() = Must(FindProgram(argv.front()));
  spawn.env = MinimalEnv();
  spawn.env.insert(spawn.env.end(), env.begin(), env.end());
  return Must(Run(ctx, spawn, {.input = {}, .max_output = 64U << 20U}), Join(argv, " "));
}

std::string MustRun(const std::vector<std::string>& argv) {
  const RunResult run = RunCommand(argv);
  if (run.exit.code != 0) {
    throw std::runtime_error(Join(argv, " ") + " ended with " + std::to_string(run.exit.code) +
                             ": " + run.err);
  }
  return run.out;
}

}  // namespace davit::e2e
