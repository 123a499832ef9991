// SPDX-License-Identifier: Apache-2.0
//
// The operator's terminal.
#pragma once

#include <termios.h>

#include <string>

namespace davit::server::cli {

bool IsTerminal(int fd);

// Its size as the streams of Kubernetes tell it: {"Width":80,"Height":24}; "" if it has none.
std::string TerminalSizeText(int fd);

// Raw from here until its end: every key goes to the container, which echoes.
class RawTerminal {
 public:
  explicit RawTerminal(int fd);
  ~RawTerminal();
  RawTerminal(const RawTerminal&) = delete;
  RawTerminal& operator=(const RawTerminal&) = delete;

 private:
  const int fd_;
  termios before_ = {};
  bool changed_ = false;
};

}  // namespace davit::server::cli
