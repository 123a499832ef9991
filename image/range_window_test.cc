// SPDX-License-Identifier: Apache-2.0
#include "image/range_window.h"

#include <algorithm>
#include <string>
#include <thread>

#include <gtest/gtest.h>

#include "base/status.h"

namespace davit::image {
namespace {

std::span<const uint8_t> Bytes(const std::string& text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

std::string Text(std::span<const uint8_t> bytes) {
  return {bytes.begin(), bytes.end()};
}

TEST(RangeWindow, PiecesCoverTheStretch) {
  RangeWindow window(5, 16, 4, 3);
  const auto a = window.Claim();
  const auto b = window.Claim();
  const auto c = window.Claim();
  ASSERT_TRUE(a && b && c);
  EXPECT_EQ(a->begin, 5U);
  EXPECT_EQ(a->end, 9U);
  EXPECT_EQ(c->begin, 13U);
  EXPECT_EQ(c->end, 16U);
  EXPECT_FALSE(window.Claim()) << "all are claimed";
}

TEST(RangeWindow, BytesComeInOrderWhateverCameFirst) {
  RangeWindow window(0, 7, 4, 2);
  const auto a = window.Claim();
  const auto b = window.Claim();
  ASSERT_TRUE(window.Append(*b, Bytes("xyz")).ok());
  window.Finish(*b, absl::OkStatus());
  ASSERT_TRUE(window.Append(*a, Bytes("ab")).ok());
  EXPECT_EQ(Text(*window.Next()), "ab");  // before the piece is whole
  ASSERT_TRUE(window.Append(*a, Bytes("cd")).ok());
  window.Finish(*a, absl::OkStatus());
  EXPECT_EQ(Text(*window.Next()), "cd");
  EXPECT_EQ(Text(*window.Next()), "xyz");
  EXPECT_EQ(Text(*window.Next()), "");
}

TEST(RangeWindow, ClaimWaitsForTheReader) {
  RangeWindow window(0, 3, 1, 2);
  const auto a = window.Claim();
  const auto b = window.Claim();
  std::optional<RangeWindow::Piece> c;
  std::thread claimer([&] { c = window.Claim(); });
  ASSERT_TRUE(window.Append(*a, Bytes("a")).ok());
  ASSERT_TRUE(window.Append(*b, Bytes("b")).ok());
  EXPECT_EQ(Text(*window.Next()), "a");
  EXPECT_EQ(Text(*window.Next()), "b");  // frees the slot of "a"
  claimer.join();
  ASSERT_TRUE(c);
  EXPECT_EQ(c->begin, 2U);
}

TEST(RangeWindow, WhatCameBeforeAFailureIsGiven) {
  RangeWindow window(0, 8, 4, 2);
  const auto a = window.Claim();
  const auto b = window.Claim();
  ASSERT_TRUE(window.Append(*b, Bytes("b")).ok());
  window.Finish(*b, Unavailable("gone"));
  EXPECT_FALSE(window.Claim());
  ASSERT_TRUE(window.Append(*a, Bytes("aaaa")).ok());
  window.Finish(*a, absl::OkStatus());
  EXPECT_EQ(Text(*window.Next()), "aaaa");
  EXPECT_EQ(Text(*window.Next()), "b");
  EXPECT_TRUE(absl::IsUnavailable(window.Next().status()));
}

TEST(RangeWindow, MoreThanAPieceIsRefused) {
  RangeWindow window(0, 8, 4, 2);
  const auto a = window.Claim();
  ASSERT_TRUE(window.Append(*a, Bytes("aaa")).ok());
  EXPECT_TRUE(absl::IsDataLoss(window.Append(*a, Bytes("aa"))));
}

TEST(RangeWindow, StopEndsTheFetchers) {
  RangeWindow window(0, 8, 4, 1);
  const auto a = window.Claim();
  std::thread claimer([&] { EXPECT_FALSE(window.Claim()); });
  window.Stop();
  claimer.join();
  EXPECT_TRUE(absl::IsCancelled(window.Append(*a, Bytes("a"))));
}

TEST(RangeWindow, ManyThreads) {
  std::string blob(1'000'003, '\0');
  for (size_t i = 0; i < blob.size(); ++i) {
    blob[i] = static_cast<char>(i * 31 >> 3U);
  }
  RangeWindow window(0, blob.size(), 4096, 5);
  std::vector<std::thread> fetchers;
  for (int t = 0; t < 4; ++t) {
    fetchers.emplace_back([&] {
      while (const auto piece = window.Claim()) {
        for (uint64_t at = piece->begin; at < piece->end; at += 1000) {
          const uint64_t count = std::min<uint64_t>(1000, piece->end - at);
          EXPECT_TRUE(window.Append(*piece, Bytes(blob.substr(at, count))).ok());
        }
        window.Finish(*piece, absl::OkStatus());
      }
    });
  }
  std::string got;
  for (auto bytes = window.Next(); bytes.ok() && !bytes->empty(); bytes = window.Next()) {
    got += Text(*bytes);
  }
  for (std::thread& fetcher : fetchers) {
    fetcher.join();
  }
  EXPECT_TRUE(got == blob);
}

}  // namespace
}  // namespace davit::image
