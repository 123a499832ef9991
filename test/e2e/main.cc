// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "test/e2e/isolation.h"
#include "test/e2e/registry.h"

namespace {

int RunTests() {
  davit::e2e::TestRegistry::AddToTests();
  return RUN_ALL_TESTS();
}

}  // namespace

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  // Every test skips itself, saying why.
  if (!davit::e2e::WhyNot().empty() || testing::GTEST_FLAG(list_tests)) {
    return RUN_ALL_TESTS();
  }
  return davit::e2e::RunIsolated(RunTests);
}
