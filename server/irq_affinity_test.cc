// SPDX-License-Identifier: Apache-2.0
#include "server/irq_affinity.h"

#include "base/id.h"
#include "base/test_util.h"
#include "base/text.h"

namespace davit::server {
namespace {

// Files in place of those of the machine, which no test may touch.
class IrqAffinityTest : public testing::Test {
 protected:
  IrqAffinityTest() {
    Write("default_smp_affinity", "ff\n");
    Write("irqbalance", "# a comment\nIRQBALANCE_BANNED_CPUS=80\nIRQBALANCE_ARGS=--x\n");
    Start();
  }

  void Start() {
    irqs_ = std::make_unique<IrqAffinity>(
        IrqAffinity::Options{.default_mask = dir_ / "default_smp_affinity",
                             .irqbalance_config = config_ ? dir_ / "irqbalance" : "",
                             .state = dir_ / "state.json",
                             .restart_irqbalance = [this] {
                               ++restarts_;
                               return absl::OkStatus();
                             }});
  }
  void Write(const std::string& name, const std::string& text) {
    EXPECT_OK(WriteFileAtomic(dir_ / name, text));
  }
  std::string Mask() {
    return std::string(Trim(ReadFile(dir_ / "default_smp_affinity").value_or("?")));
  }
  std::string Banned() {
    const auto cpus = internal::BannedCpus(ReadFile(dir_ / "irqbalance").value_or(""));
    return cpus.ok() ? CpuListText(*cpus) : cpus.status().ToString();
  }
  bool HasState() { return PathExists(dir_ / "state.json"); }

  test::TempDir dir_;
  bool config_ = true;
  int restarts_ = 0;
  std::unique_ptr<IrqAffinity> irqs_;
};

TEST_F(IrqAffinityTest, NothingAskedIsNothingDone) {
  EXPECT_OK(irqs_->Restore());
  EXPECT_OK(irqs_->GiveBack("a"));
  EXPECT_EQ(Mask(), "ff");
  EXPECT_EQ(Banned(), "7");
  EXPECT_EQ(restarts_, 0);
  EXPECT_FALSE(HasState());
}

TEST_F(IrqAffinityTest, TakesAndGivesBack) {
  EXPECT_OK(irqs_->Restore());
  EXPECT_OK(irqs_->Take("a", {2, 3}));
  EXPECT_EQ(Mask(), "f3");
  EXPECT_EQ(Banned(), "2-3,7");
  EXPECT_OK(irqs_->Take("b", {3, 4}));
  EXPECT_EQ(Mask(), "e3");
  EXPECT_EQ(restarts_, 2);
  EXPECT_OK(irqs_->GiveBack("a"));
  EXPECT_EQ(Mask(), "e7") << "3 is b's, too";
  EXPECT_EQ(Banned(), "3-4,7");
  EXPECT_TRUE(HasState());
  EXPECT_OK(irqs_->GiveBack("b"));
  EXPECT_EQ(Mask(), "ff");
  EXPECT_EQ(Banned(), "7");
  EXPECT_FALSE(HasState());
  EXPECT_EQ(ReadFile(dir_ / "irqbalance").value_or(""),
            "# a comment\nIRQBALANCE_BANNED_CPUS=80\nIRQBALANCE_ARGS=--x\n");
}

TEST_F(IrqAffinityTest, WhatOthersHaveTakenStaysTheirs) {
  EXPECT_OK(irqs_->Restore());
  Write("default_smp_affinity", "fe\n");
  EXPECT_OK(irqs_->Take("a", {0, 1, 7}));
  EXPECT_EQ(Mask(), "7c");
  Write("default_smp_affinity", "3c\n");  // meanwhile the administrator takes 6
  EXPECT_OK(irqs_->GiveBack("a"));
  EXPECT_EQ(Mask(), "be");
  EXPECT_EQ(Banned(), "7");
}

TEST_F(IrqAffinityTest, ADaemonThatComesBackKnowsWhatToGiveBack) {
  EXPECT_OK(irqs_->Restore());
  EXPECT_OK(irqs_->Take("ended", {2}));
  EXPECT_OK(irqs_->Take("runs", {4}));
  EXPECT_OK(irqs_->Take("ends", {5}));
  EXPECT_EQ(Mask(), "cb");
  Start();
  irqs_->Claim("runs", {4});
  irqs_->Claim("ends", {5});
  EXPECT_EQ(Mask(), "cb");
  EXPECT_OK(irqs_->GiveBack("ends"));  // before all are known
  EXPECT_EQ(Mask(), "cb");
  EXPECT_OK(irqs_->Restore());
  EXPECT_EQ(Mask(), "ef");
  EXPECT_EQ(Banned(), "4,7");
  EXPECT_OK(irqs_->GiveBack("runs"));
  EXPECT_EQ(Mask(), "ff");
  EXPECT_FALSE(HasState());
}

TEST_F(IrqAffinityTest, AfterARebootOnlyTheFileIsToBeMended) {
  Write("state.json", R"({"boot_id": "another", "default_smp_affinity": "2", "irqbalance": "2"})");
  Write("irqbalance", "IRQBALANCE_BANNED_CPULIST=\"2,7\"\n");
  Write("default_smp_affinity", "0b\n");
  EXPECT_OK(irqs_->Restore());
  EXPECT_EQ(Mask(), "0b");
  EXPECT_EQ(ReadFile(dir_ / "irqbalance").value_or(""), "IRQBALANCE_BANNED_CPULIST=7\n");
  EXPECT_FALSE(HasState());
}

TEST_F(IrqAffinityTest, ACrashBetweenTheStepsLosesNothing) {
  // The file says what was about to be taken; nothing was.
  Write("state.json",
        R"({"boot_id": ")" + BootId() + R"(", "default_smp_affinity": "2-3", "irqbalance": ""})");
  EXPECT_OK(irqs_->Restore());
  EXPECT_EQ(Mask(), "ff");
  EXPECT_FALSE(HasState());
}

TEST_F(IrqAffinityTest, RefusesToTakeAll) {
  EXPECT_OK(irqs_->Restore());
  EXPECT_OK(irqs_->Take("a", {0, 1, 2}));
  const absl::Status status = irqs_->Take("b", {3, 4, 5, 6, 7});
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_NE(Message(status).find("no CPU would be left"), std::string::npos) << status;
  EXPECT_EQ(Mask(), "f8");
  EXPECT_EQ(Banned(), "0-2,7");
}

TEST_F(IrqAffinityTest, WithoutIrqbalance) {
  config_ = false;
  Start();
  EXPECT_OK(irqs_->Restore());
  EXPECT_OK(irqs_->Take("a", {2}));
  EXPECT_EQ(Mask(), "fb");
  EXPECT_EQ(Banned(), "7");
  EXPECT_EQ(restarts_, 0);
}

TEST_F(IrqAffinityTest, WhatCannotBeReadIsNamed) {
  EXPECT_OK(irqs_->Restore());
  Write("irqbalance", "IRQBALANCE_BANNED_CPUS=many\n");
  EXPECT_NE(Message(irqs_->Take("a", {2})).find("IRQBALANCE_BANNED_CPUS=many"), std::string::npos);
  EXPECT_EQ(Mask(), "ff") << "nothing is taken";
  Write("state.json", "{");
  Start();
  EXPECT_NE(Message(irqs_->Restore()).find("state.json"), std::string::npos);
}

TEST(IrqbalanceConfig, IsEditedInPlace) {
  using internal::WithBannedCpus;
  EXPECT_EQ(WithBannedCpus("", {}), "");
  EXPECT_EQ(WithBannedCpus("", {1}), "IRQBALANCE_BANNED_CPUS=2\n");
  EXPECT_EQ(WithBannedCpus("A=b", {1}), "A=b\nIRQBALANCE_BANNED_CPUS=2");
  EXPECT_EQ(WithBannedCpus("A=b\n", {1}), "A=b\nIRQBALANCE_BANNED_CPUS=2\n");
  EXPECT_EQ(WithBannedCpus("#IRQBALANCE_BANNED_CPUS=\n", {1}),
            "#IRQBALANCE_BANNED_CPUS=\nIRQBALANCE_BANNED_CPUS=2\n");
  EXPECT_EQ(WithBannedCpus("IRQBALANCE_BANNED_CPUS='1'\nA=b\n", {1, 33}),
            "IRQBALANCE_BANNED_CPUS=2,00000002\nA=b\n");
  EXPECT_EQ(WithBannedCpus("IRQBALANCE_BANNED_CPULIST=1\nIRQBALANCE_BANNED_CPUS=4\n", {1, 2, 3}),
            "IRQBALANCE_BANNED_CPULIST=1-3\nIRQBALANCE_BANNED_CPUS=4\n");
  EXPECT_EQ(WithBannedCpus("IRQBALANCE_BANNED_CPUS=2\n", {}), "");
}

}  // namespace
}  // namespace davit::server
