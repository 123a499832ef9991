// SPDX-License-Identifier: Apache-2.0
//
// A connection from its first byte to its upgrade: TLS, one HTTP request within some seconds, the
// token, what both sides speak.
#pragma once

#include <memory>
#include <string>

#include "server/streaming/refusal_log.h"
#include "server/streaming/session.h"
#include "server/streaming/token_table.h"

namespace davit::server::streaming {

// The request's path is "/exec/TOKEN", "/attach/TOKEN" or "/portforward/TOKEN".
inline constexpr char kExecPath[] = "/exec/";
inline constexpr char kAttachPath[] = "/attach/";
inline constexpr char kPortForwardPath[] = "/portforward/";

struct ConnectionParts {
  std::shared_ptr<Loop> loop;
  Executor& executor;
  TokenTable& tokens;
  std::chrono::milliseconds idle_timeout;
  std::chrono::milliseconds stream_time;  // Limits::streams
  RefusalLog& refusals;
};

// The session that the client asked for, with what it sent behind its request; or nothing: it has
// its answer, if it was to have one. The transport stays the caller's until then, who closes it to
// end the wait.
struct Accepted {
  std::shared_ptr<Session> session;
  std::string early;
};
awaitable<Accepted> AcceptClient(const ConnectionParts& parts,
                                 std::shared_ptr<std::unique_ptr<Transport>> transport);

}  // namespace davit::server::streaming
