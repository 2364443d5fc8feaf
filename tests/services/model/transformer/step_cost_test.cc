// What a step must not do, since it is done for every token: allocate, or call the system.
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <memory>
#include <new>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "services/model/transformer/transformer.h"

namespace {

std::atomic<int> g_allocations = 0;

void* Allocate(size_t bytes, size_t alignment) {
  ++g_allocations;
  void* const memory =
      std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

}  // namespace

// All others end in these.
void* operator new(size_t bytes) { return Allocate(bytes, alignof(std::max_align_t)); }
void* operator new(size_t bytes, std::align_val_t alignment) {
  return Allocate(bytes, static_cast<size_t>(alignment));
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, size_t, std::align_val_t) noexcept { std::free(memory); }

namespace llama {
namespace {

// A model that can take steps: three sequences of which one is a prompt's part, over all blocks.
class Model {
 public:
  Model(size_t threads, DataType activations)
      : checkpoint_(Checkpoint::Load(absl::StrCat(LLAMA_TEST_DATA, "/stories260K"),
                                     {.weights = activations})
                        .value()),
        team_(threads),
        transformer_(checkpoint_->config(), checkpoint_->weights(), *SupportedKernels().back(),
                     team_,
                     {.activations = activations,
                      .context_length = 64,
                      .max_batch_tokens = 32,
                      .max_batch_logits = 4,
                      .worth_waking = 0}),
        cache_(KvCache::Create(checkpoint_->config(), activations, 8).value()),
        logits_(4 * static_cast<size_t>(checkpoint_->config().vocab_size)) {
    batch_.push_back({.token = 5, .position = 40, .blocks = kBlocks[0], .wants_logits = true});
    batch_.push_back({.token = 6, .position = 17, .blocks = kBlocks[1], .wants_logits = true});
    for (uint32_t p = 0; p < 20; ++p) {
      batch_.push_back(
          {.token = 7 + p, .position = p, .blocks = kBlocks[2], .wants_logits = p == 19});
    }
  }
  void Step() {
    transformer_.Forward(batch_, *cache_, logits_, [] {});
  }

 private:
  static constexpr KvBlock kBlocks[3][3] = {{0, 1, 2}, {3, 4, 0}, {5, 6, 0}};  // By sequence.
  std::unique_ptr<const Checkpoint> checkpoint_;
  ThreadTeam team_;
  Transformer transformer_;
  std::unique_ptr<KvCache> cache_;
  std::vector<float> logits_;
  std::vector<BatchToken> batch_;
};

TEST(StepCostTest, AllocatesNothing) {
  for (const DataType activations : {DataType::kBf16, DataType::kF32}) {
    Model model(2, activations);
    const int before = g_allocations;
    EXPECT_GT(before, 0);
    for (int i = 0; i < 3; ++i) model.Step();
    EXPECT_EQ(g_allocations, before);
  }
}

TEST(StepCostDeathTest, CallsNothingOfTheSystemOnOneThread) {
  const auto steps = [](bool call_once) {
    Model model(1, DataType::kBf16);
    model.Step();  // Touches its pages.
    // From here on any system call but read, write and exit kills.
    prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT);
    for (int i = 0; i < 3; ++i) model.Step();
    if (call_once) getppid();
    syscall(SYS_exit, 0);
  };
  EXPECT_EXIT(steps(false), testing::ExitedWithCode(0), "");
  EXPECT_EXIT(steps(true), testing::KilledBySignal(SIGKILL), "");
}

}  // namespace
}  // namespace llama
