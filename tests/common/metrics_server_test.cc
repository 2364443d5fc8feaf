#include "common/metrics_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>

#include "absl/strings/numbers.h"
#include "common/metrics_family.h"
#include "gmock/gmock.h"

namespace llama {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

class Two final : public prometheus::Collectable {
 public:
  std::vector<prometheus::MetricFamily> Collect() const override {
    return {GaugeFamily("test_level", "A level.", {{2, {{"of", "a \"tank\"\n"}}}}),
            CounterFamily("test_total", "A count.", {{3}})};
  }
};

// What 127.0.0.1 answers to a request for `path`.
std::string Get(const std::string& address, const std::string& path) {
  int port = 0;
  EXPECT_TRUE(absl::SimpleAtoi(address.substr(address.rfind(':') + 1), &port));
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in peer = {};
  peer.sin_family = AF_INET;
  peer.sin_port = htons(static_cast<uint16_t>(port));
  inet_pton(AF_INET, "127.0.0.1", &peer.sin_addr);
  EXPECT_EQ(connect(fd, reinterpret_cast<const sockaddr*>(&peer), sizeof(peer)), 0);
  const std::string request = "GET " + path + " HTTP/1.0\r\n\r\n";
  EXPECT_EQ(send(fd, request.data(), request.size(), 0), static_cast<ssize_t>(request.size()));
  std::string answer;
  char buffer[4096];
  for (ssize_t got = 0; (got = recv(fd, buffer, sizeof(buffer), 0)) > 0;) {
    answer.append(buffer, static_cast<size_t>(got));
  }
  close(fd);
  return answer;
}

TEST(MetricsServerTest, AnswersWithWhatItsSourcesHave) {
  const auto server = MetricsServer::Start("127.0.0.1:0", {std::make_shared<Two>()});
  ASSERT_TRUE(server.ok()) << server.status();
  const std::string answer = Get((*server)->address(), "/metrics");
  EXPECT_THAT(answer, HasSubstr("# TYPE test_level gauge"));
  EXPECT_THAT(answer, HasSubstr("test_level{of=\"a \\\"tank\\\"\\n\"} 2\n"));
  EXPECT_THAT(answer, HasSubstr("# TYPE test_total counter"));
  EXPECT_THAT(answer, HasSubstr("test_total 3\n"));
}

TEST(MetricsServerTest, ServesNothingElse) {
  const auto server = MetricsServer::Start(":0", {std::make_shared<Two>()});
  ASSERT_TRUE(server.ok()) << server.status();
  for (const std::string path : {"/", "/etc/passwd", "/../../etc/passwd", "/proc/self/environ"}) {
    EXPECT_THAT(Get((*server)->address(), path), HasSubstr(" 404 ")) << path;
  }
}

TEST(MetricsServerTest, WithoutAHostListensOnLoopback) {
  const auto server = MetricsServer::Start(":0", {});
  ASSERT_TRUE(server.ok()) << server.status();
  EXPECT_THAT((*server)->address(), StartsWith("127.0.0.1:"));
}

TEST(MetricsServerTest, NoAddressMeansNoServer) {
  const auto server = MetricsServer::Start("", {});
  ASSERT_TRUE(server.ok()) << server.status();
  EXPECT_EQ(*server, nullptr);
}

TEST(MetricsServerTest, AnAddressInUseIsNamed) {
  const auto first = MetricsServer::Start(":0", {});
  ASSERT_TRUE(first.ok()) << first.status();
  const absl::Status status = MetricsServer::Start((*first)->address(), {}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(status.message()), HasSubstr((*first)->address()));
}

TEST(MetricsServerTest, RefusesWhatIsNotOneAddress) {
  for (const char* const listen :
       {"9464", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:65536", "127.0.0.1:-1",
        "127.0.0.1:1s", "127.0.0.1:1,127.0.0.1:2", "+:9464", "a b:1", "::1:9464", "[::1:1",
        "[]:1"}) {
    const absl::Status status = MetricsServer::Start(listen, {}).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << listen;
    EXPECT_THAT(std::string(status.message()), StartsWith("--metrics_listen: ")) << listen;
  }
}

}  // namespace
}  // namespace llama
