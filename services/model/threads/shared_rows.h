#ifndef LLAMA_SERVICES_MODEL_THREADS_SHARED_ROWS_H_
#define LLAMA_SERVICES_MODEL_THREADS_SHARED_ROWS_H_

#include <algorithm>
#include <atomic>
#include <cstddef>

#include "services/model/threads/thread_team.h"

namespace llama {

// Rows that a team works on in one run. Of each thread's share the first three quarters are its
// own; the last one is cut into pieces that whoever is free takes, so that a thread that is slower,
// or loses its processor for a while, is not waited for as long. Who computes a row does not change
// it.
class SharedRows {
 public:
  // Pieces begin at multiples of `multiple_of`. Where they would have fewer than least_piece rows,
  // each thread's share is all its own.
  SharedRows(size_t rows, size_t threads, size_t multiple_of, size_t least_piece)
      : rows_(rows), threads_(threads), multiple_of_(multiple_of), least_piece_(least_piece) {}

  // Calls work(begin, end) for the rows that fall to `thread`, which calls this once: all rows are
  // worked on once when all threads have returned. Allocates nothing.
  template <typename Work>
  void Take(size_t thread, const Work& work) {
    const auto [begin, end] = Share(rows_, thread, threads_, multiple_of_);
    const size_t own_end = OwnEnd(begin, end);
    if (begin < own_end) work(begin, own_end);
    for (size_t i = next_++; i < threads_ * kPieces; i = next_++) {
      // The last pieces of all shares come last.
      const auto [other_begin, other_end] = Share(rows_, i % threads_, threads_, multiple_of_);
      const size_t shared = OwnEnd(other_begin, other_end);
      const auto [from, to] = Share(other_end - shared, i / threads_, kPieces, multiple_of_);
      if (from < to) work(shared + from, shared + to);
    }
  }

 private:
  static constexpr size_t kPieces = 4;  // Of each share.

  // Of the share [begin, end).
  size_t OwnEnd(size_t begin, size_t end) const {
    const size_t quarter = (end - begin) / 4 / multiple_of_ * multiple_of_;
    if (threads_ == 1 || quarter < kPieces * least_piece_) return end;
    return end - quarter;
  }

  const size_t rows_;
  const size_t threads_;
  const size_t multiple_of_;
  const size_t least_piece_;
  std::atomic<size_t> next_ = 0;
};

}  // namespace llama

#endif  // LLAMA_SERVICES_MODEL_THREADS_SHARED_ROWS_H_
