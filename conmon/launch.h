// SPDX-License-Identifier: Apache-2.0
//
// The one call of the OCI runtime: `run --detach`, which creates and starts the container, or `exec
// --detach`. The process inherits the descriptors that the runtime is given (without a terminal).
#pragma once

#include <sys/types.h>

#include "conmon/options.h"
#include "conmon/sys.h"
#include "conmon/text.h"

namespace davit::conmon {

// Both sides of the container's stdio. The container's side is closed once the runtime has it.
struct Stdio {
  Fd in, out, err;                       // the container's
  Fd in_writer, out_reader, err_reader;  // ours
  Fd null_mount;                         // of a null device among the former: see null_device.h
};

// Without a terminal: pipes, and a pipe or a null device as stdin. With one: a null device and a
// pipe for what the runtime itself says. Returns an errno.
int MakeStdio(const Options& options, Stdio* stdio);

// Closes all descriptors above 2 but those that the options name.
void KeepGiven(const Options& options);

// The runtime's pid, or -1 with errno. `console_path` is null without a terminal. The runtime's
// program and mount namespace are closed: this is their only use, and a namespace that stays open
// keeps the mounts in it.
pid_t SpawnRuntime(const Options& options, const Stdio& stdio, const char* console_path);

// Where the runtime finds the listening socket. Through /proc: the directory's own path may be too
// long for a socket address.
using ConsolePath = FixedText<64>;
void NameConsole(ConsolePath* path);
// The listening socket that the runtime sends the terminal to, in the current directory.
int ListenConsole(Fd* listener);
// The terminal, after the runtime has succeeded; invalid if it sent none.
Fd ReceiveConsole(int listener);
inline constexpr char kConsoleSocket[] = "console";

}  // namespace davit::conmon
