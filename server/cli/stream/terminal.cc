// SPDX-License-Identifier: Apache-2.0
#include "server/cli/stream/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <fmt/format.h>

namespace davit::server::cli {

bool IsTerminal(int fd) {
  return isatty(fd) == 1;
}

std::string TerminalSizeText(int fd) {
  winsize size = {};
  if (ioctl(fd, TIOCGWINSZ, &size) != 0 || size.ws_col == 0 || size.ws_row == 0) {
    return "";
  }
  return fmt::format(R"({{"Width":{},"Height":{}}})", size.ws_col, size.ws_row);
}

RawTerminal::RawTerminal(int fd) : fd_(fd) {
  if (tcgetattr(fd_, &before_) != 0) {
    return;
  }
  termios raw = before_;
  cfmakeraw(&raw);
  changed_ = tcsetattr(fd_, TCSADRAIN, &raw) == 0;
}

RawTerminal::~RawTerminal() {
  if (changed_) {
    tcsetattr(fd_, TCSADRAIN, &before_);
  }
}

}  // namespace davit::server::cli
