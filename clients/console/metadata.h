#ifndef LLAMA_CLIENTS_CONSOLE_METADATA_H_
#define LLAMA_CLIENTS_CONSOLE_METADATA_H_

#include <string>

#include "llama/v1/gateway_service.pb.h"

namespace llama {

// Item 0 of the menu: every tensor, then the model's properties, line by line.
std::string RenderMetadata(const v1::GetInfoResponse& info);

// The lines of the welcome: what the gateway serves.
std::string RenderSummary(const v1::GetInfoResponse& info);

}  // namespace llama

#endif  // LLAMA_CLIENTS_CONSOLE_METADATA_H_
