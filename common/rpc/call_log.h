#ifndef LLAMA_COMMON_RPC_CALL_LOG_H_
#define LLAMA_COMMON_RPC_CALL_LOG_H_

#include "common/rpc/call_record.h"

namespace llama {

// A CallObserver that writes one line of the log per call: "call", with the record's fields; those
// that are not known are left out. Level: debug for probes, error for codes that blame the server
// (UNKNOWN, INTERNAL, DATA_LOSS), else info.
void LogCall(const CallRecord& record);

// Lets gRPC's own messages go through the log, too, whose lines they would break. Call once, after
// SetUpLog().
void LogGrpcMessages();

}  // namespace llama

#endif  // LLAMA_COMMON_RPC_CALL_LOG_H_
