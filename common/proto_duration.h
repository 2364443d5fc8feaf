#ifndef LLAMA_COMMON_PROTO_DURATION_H_
#define LLAMA_COMMON_PROTO_DURATION_H_

#include "absl/time/time.h"
#include "google/protobuf/duration.pb.h"

namespace llama {

// Between abseil's durations and the messages of duration.proto. A nanosecond is the least of them:
// what is shorter is cut off. REQUIRES: finite, and in duration.proto's range.
void SetDuration(absl::Duration duration, google::protobuf::Duration& out);
// Whatever the fields hold, valid or not.
absl::Duration FromProto(const google::protobuf::Duration& duration);

}  // namespace llama

#endif  // LLAMA_COMMON_PROTO_DURATION_H_
