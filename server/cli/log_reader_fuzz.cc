// SPDX-License-Identifier: Apache-2.0
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "server/cli/log_reader.h"

// Lines of a log. What is taken apart is the line: nothing is added to it.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view rest(reinterpret_cast<const char*>(data), size);
  while (!rest.empty()) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(line.size() < rest.size() ? line.size() + 1 : line.size());
    const auto parsed = davit::server::cli::ParseLogLine(line);
    if (parsed && (!line.starts_with(parsed->time_text) || !line.ends_with(parsed->text))) {
      std::abort();
    }
  }
  return 0;
}
