#include "services/gateway/request_checks.h"

#include <string>

#include "common/status_details.h"
#include "gtest/gtest.h"

namespace llama {
namespace {

// The path of the field at fault, or "".
std::string Fault(const v1::GenerateRequest& request) {
  const absl::Status status = CheckGenerateRequest(request);
  if (status.ok()) return "";
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(GetReason(status), "FIELD_INVALID");
  return GetDetail<google::rpc::BadRequest>(status)->field_violations(0).field();
}

TEST(RequestChecksTest, AnIdIsAtMost64LettersDigitsDashesAndUnderscores) {
  v1::GenerateRequest request;
  for (const std::string& id : {std::string(), std::string("aZ09-_"), std::string(64, 'x')}) {
    request.set_request_id(id);
    EXPECT_EQ(Fault(request), "") << id;
  }
  for (const std::string& id :
       {std::string(65, 'x'), std::string("a b"), std::string("a\n"), std::string("\u00e9"),
        std::string(1, '\0'), std::string("a/b"), std::string("a.b")}) {
    request.set_request_id(id);
    EXPECT_EQ(Fault(request), "request_id") << id;
  }
}

v1::GenerateRequest WithStops(size_t count, size_t bytes) {
  const std::string stop(bytes, 'x');
  v1::GenerateRequest request;
  for (size_t i = 0; i < count; ++i) *request.mutable_stopping()->add_stop_sequences() = stop;
  return request;
}

TEST(RequestChecksTest, ThereAreAtMost16StopSequences) {
  EXPECT_EQ(Fault(WithStops(16, 1)), "");
  EXPECT_EQ(Fault(WithStops(17, 1)), "stopping.stop_sequences");
}

TEST(RequestChecksTest, AStopSequenceHas1To256Bytes) {
  EXPECT_EQ(Fault(WithStops(1, 256)), "");
  for (const size_t bytes : {0u, 257u}) {
    v1::GenerateRequest request = WithStops(1, 1);
    request.mutable_stopping()->MergeFrom(WithStops(1, bytes).stopping());
    EXPECT_EQ(Fault(request), "stopping.stop_sequences[1]") << bytes;
  }
}

}  // namespace
}  // namespace llama
