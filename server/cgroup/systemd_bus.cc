// SPDX-License-Identifier: Apache-2.0
#include "server/cgroup/systemd_bus.h"

#include <cstring>
#include <map>
#include <memory>

#include <systemd/sd-bus.h>

#include "base/status.h"
#include "base/text.h"

namespace davit::server::systemd {
namespace {

using Clock = std::chrono::steady_clock;

constexpr char kService[] = "org.freedesktop.systemd1";
constexpr char kPath[] = "/org/freedesktop/systemd1";
constexpr char kManager[] = "org.freedesktop.systemd1.Manager";
constexpr char kUnitExists[] = "org.freedesktop.systemd1.UnitExists";
constexpr char kNoSuchUnit[] = "org.freedesktop.systemd1.NoSuchUnit";

using MessagePtr =
    std::unique_ptr<sd_bus_message, decltype([](sd_bus_message* m) { sd_bus_message_unref(m); })>;

class BusError {
 public:
  ~BusError() { sd_bus_error_free(&error_); }
  sd_bus_error* get() { return &error_; }
  [[nodiscard]] bool Is(const char* name) const { return sd_bus_error_has_name(&error_, name) > 0; }
  [[nodiscard]] absl::Status ToStatus(int result, const std::string& what) const {
    const std::string text =
        error_.message != nullptr ? Printable(error_.message, 500) : ErrnoText(-result);
    return result == -ETIMEDOUT ? DeadlineExceeded("{}: systemd does not answer: {}", what, text)
                                : Internal("{}: systemd says: {}", what, text);
  }

 private:
  sd_bus_error error_ = SD_BUS_ERROR_NULL;
};

// What is appended to a message; the first failure sticks.
class Builder {
 public:
  explicit Builder(sd_bus_message* message) : message_(message) {}

  Builder& Text(const std::string& text) {
    return Do([&] { return sd_bus_message_append_basic(message_, 's', text.c_str()); });
  }
  Builder& Bool(bool value) {
    const int number = value ? 1 : 0;
    return Do([&] { return sd_bus_message_append_basic(message_, 'b', &number); });
  }
  Builder& Texts(const std::vector<std::string>& texts) {
    Open('a', "s");
    for (const std::string& text : texts) {
      Text(text);
    }
    return Close();
  }
  Builder& Properties(const std::vector<Property>& properties) {
    Open('a', "(sv)");
    for (const Property& property : properties) {
      Open('r', "sv");
      Text(property.name);
      std::visit([this](const auto& value) { Variant(value); }, property.value);
      Close();
    }
    return Close();
  }
  Builder& NoAuxiliaryUnits() { return Open('a', "(sa(sv))").Close(); }

  [[nodiscard]] int result() const { return result_; }

 private:
  template <typename Action>
  Builder& Do(Action action) {
    if (result_ >= 0) {
      result_ = action();
    }
    return *this;
  }
  Builder& Open(char type, const char* contents) {
    return Do([&] { return sd_bus_message_open_container(message_, type, contents); });
  }
  Builder& Close() {
    return Do([&] { return sd_bus_message_close_container(message_); });
  }

  void Variant(bool value) { Open('v', "b").Bool(value).Close(); }
  void Variant(uint64_t value) {
    Open('v', "t").Do([&] { return sd_bus_message_append_basic(message_, 't', &value); }).Close();
  }
  void Variant(const std::string& value) { Open('v', "s").Text(value).Close(); }
  void Variant(const std::vector<uint8_t>& bytes) { Array("ay", 'y', bytes); }
  void Variant(const std::vector<uint32_t>& numbers) { Array("au", 'u', numbers); }
  template <typename Element>
  void Array(const char* signature, char type, const std::vector<Element>& elements) {
    Open('v', signature)
        .Do([&] {
          return sd_bus_message_append_array(message_, type, elements.data(),
                                             elements.size() * sizeof(Element));
        })
        .Close();
  }

  sd_bus_message* message_;
  int result_ = 0;
};

class Connection {
 public:
  Connection() = default;
  ~Connection() { sd_bus_flush_close_unref(bus_); }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  absl::Status Open() {
    if (const int result = sd_bus_open_system(&bus_); result < 0) {
      return Unavailable("connect to the system bus: {}", ErrnoText(-result));
    }
    sd_bus_set_method_call_timeout(
        bus_, std::chrono::duration_cast<std::chrono::microseconds>(kBusTimeout).count());
    return absl::OkStatus();
  }

  // `fill` appends the arguments. A reply whose error is named `expected` is a null message.
  template <typename Fill>
  absl::StatusOr<MessagePtr> Call(const std::string& what, const char* method, const char* expected,
                                  Fill fill) {
    sd_bus_message* raw = nullptr;
    int result = sd_bus_message_new_method_call(bus_, &raw, kService, kPath, kManager, method);
    const MessagePtr message(raw);
    if (result >= 0) {
      Builder builder(message.get());
      fill(builder);
      result = builder.result();
    }
    BusError error;
    sd_bus_message* reply = nullptr;
    if (result >= 0) {
      result = sd_bus_call(bus_, message.get(), 0, error.get(), &reply);
    }
    if (result < 0 && expected != nullptr && error.Is(expected)) {
      return MessagePtr();
    }
    if (result < 0) {
      return error.ToStatus(result, what);
    }
    return MessagePtr(reply);
  }

  // Before a job is asked for: its end is a signal, which may come before the answer.
  absl::Status WatchJobs(const std::string& what) {
    const int result = sd_bus_match_signal(bus_, nullptr, kService, kPath, kManager, "JobRemoved",
                                           OnJobRemoved, &ended_);
    if (result < 0) {
      return Internal("{}: watch the jobs of systemd: {}", what, ErrnoText(-result));
    }
    return Call(what, "Subscribe", nullptr, [](Builder&) {}).status();
  }

  absl::Status AwaitJob(const std::string& what, sd_bus_message* reply) {
    const char* path = nullptr;
    if (const int result = sd_bus_message_read(reply, "o", &path); result < 0) {
      return Internal("{}: the answer of systemd cannot be read: {}", what, ErrnoText(-result));
    }
    const Clock::time_point give_up = Clock::now() + kBusTimeout;
    while (true) {
      if (const auto job = ended_.find(path); job != ended_.end()) {
        return job->second == "done" || job->second == "skipped"
                   ? absl::OkStatus()
                   : Internal("{}: the job of systemd ended with: {}", what, job->second);
      }
      int result = sd_bus_process(bus_, nullptr);
      if (result == 0) {
        const auto left =
            std::chrono::duration_cast<std::chrono::microseconds>(give_up - Clock::now());
        if (left.count() <= 0) {
          return DeadlineExceeded("{}: systemd has not done it in {} s", what, kBusTimeout.count());
        }
        result = sd_bus_wait(bus_, static_cast<uint64_t>(left.count()));
      }
      if (result < 0 && result != -EINTR) {
        return Unavailable("{}: the system bus: {}", what, ErrnoText(-result));
      }
    }
  }

 private:
  static int OnJobRemoved(sd_bus_message* message, void* ended, sd_bus_error* /*error*/) {
    uint32_t id = 0;
    const char* path = nullptr;
    const char* unit = nullptr;
    const char* outcome = nullptr;
    if (sd_bus_message_read(message, "uoss", &id, &path, &unit, &outcome) >= 0) {
      (*static_cast<std::map<std::string, std::string>*>(ended))[path] = outcome;
    }
    return 0;
  }

  sd_bus* bus_ = nullptr;
  std::map<std::string, std::string> ended_;  // jobs and their outcomes
};

}  // namespace

absl::Status Start(const std::string& unit, const std::vector<Property>& properties) {
  const std::string what = "start " + unit;
  Connection bus;
  RETURN_IF_ERROR(bus.Open());
  RETURN_IF_ERROR(bus.WatchJobs(what));
  ASSIGN_OR_RETURN(const MessagePtr reply,
                   bus.Call(what, "StartTransientUnit", kUnitExists, [&](Builder& arguments) {
                     arguments.Text(unit).Text("fail").Properties(properties).NoAuxiliaryUnits();
                   }));
  return reply ? bus.AwaitJob(what, reply.get()) : AlreadyExists("{}: it is there already", what);
}

absl::Status Stop(const std::string& unit) {
  const std::string what = "stop " + unit;
  Connection bus;
  RETURN_IF_ERROR(bus.Open());
  RETURN_IF_ERROR(bus.WatchJobs(what));
  ASSIGN_OR_RETURN(const MessagePtr reply,
                   bus.Call(what, "StopUnit", kNoSuchUnit,
                            [&](Builder& arguments) { arguments.Text(unit).Text("replace"); }));
  return reply ? bus.AwaitJob(what, reply.get()) : absl::OkStatus();
}

absl::Status ResetFailed(const std::string& unit) {
  Connection bus;
  RETURN_IF_ERROR(bus.Open());
  return bus
      .Call("reset " + unit, "ResetFailedUnit", kNoSuchUnit,
            [&](Builder& arguments) { arguments.Text(unit); })
      .status();
}

absl::Status SetProperties(const std::string& unit, const std::vector<Property>& properties) {
  Connection bus;
  RETURN_IF_ERROR(bus.Open());
  return bus
      .Call("set properties of " + unit, "SetUnitProperties", kNoSuchUnit,
            [&](Builder& arguments) {
              arguments.Text(unit).Bool(/*runtime*/ true).Properties(properties);
            })
      .status();
}

absl::StatusOr<std::vector<std::string>> FailedUnits(const std::string& pattern) {
  const std::string what = "list the units of systemd";
  Connection bus;
  RETURN_IF_ERROR(bus.Open());
  ASSIGN_OR_RETURN(const MessagePtr reply,
                   bus.Call(what, "ListUnitsByPatterns", nullptr, [&](Builder& arguments) {
                     arguments.Texts({"failed"}).Texts({pattern});
                   }));
  std::vector<std::string> units;
  const char* name = nullptr;
  int result = sd_bus_message_enter_container(reply.get(), 'a', "(ssssssouso)");
  while (result >= 0 && (result = sd_bus_message_read(reply.get(), "(ssssssouso)", &name, nullptr,
                                                      nullptr, nullptr, nullptr, nullptr, nullptr,
                                                      nullptr, nullptr, nullptr)) > 0) {
    units.emplace_back(name);
  }
  if (result < 0) {
    return Internal("{}: the answer cannot be read: {}", what, ErrnoText(-result));
  }
  return units;
}

}  // namespace davit::server::systemd
