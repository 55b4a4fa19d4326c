// Unit tests of the pure parts: each check that fails prints its line. See
// tests/native/test_units.py.
#include <math.h>
#include <stdio.h>
#include <string.h>

#include <limits>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/proc.h"
#include "base/sha256.h"
#include "core/inputs.h"
#include "core/measure.h"

namespace edge {
namespace {

int failed = 0;

#define CHECK(condition)                                     \
  do {                                                       \
    if (!(condition)) {                                      \
      printf("%s:%d: %s\n", __FILE__, __LINE__, #condition); \
      ++failed;                                              \
    }                                                        \
  } while (false)

std::string number(double value, int decimals) {
  JsonWriter json;
  json.number("x", value, decimals);
  return json.line();
}

std::string text(const char* value, size_t limit = kShortText) {
  JsonWriter json;
  json.text("x", value, limit);
  return json.line();
}

void test_json() {
  CHECK(std::string(JsonWriter().line()) == "{}\n");
  JsonWriter json;
  json.text("event", "x");
  json.list("ns");
  json.integer(nullptr, -9223372036854775807LL - 1);
  json.integer(nullptr, 2);
  json.end();
  json.object("empty");
  json.end();
  json.object("open");
  json.boolean("yes", true);
  CHECK(std::string(json.line()) ==
        "{\"event\":\"x\",\"ns\":[-9223372036854775808,2],\"empty\":{},\"open\":{\"yes\":true}}\n");
  CHECK(number(0.0000005, 6) == "{\"x\":0.000001}\n");
  CHECK(number(-1.25, 1) == "{\"x\":-1.3}\n");
  CHECK(number(-0.001, 2) == "{\"x\":0.00}\n");
  CHECK(number(7, 0) == "{\"x\":7}\n");
  CHECK(number(std::numeric_limits<double>::quiet_NaN(), 6) == "{\"x\":null}\n");
  CHECK(number(1e300, 6) == "{\"x\":null}\n");
  CHECK(text("a\"b\\c\n\x7f") == "{\"x\":\"a\\\"b\\\\c\\u000a\x7f\"}\n");
  CHECK(text("\xE6\xA8\xA1") == "{\"x\":\"\xE6\xA8\xA1\"}\n");  // three bytes of UTF-8
  CHECK(text("\xE6\xA8") == "{\"x\":\"\xEF\xBF\xBD\xEF\xBF\xBD\"}\n");
  CHECK(text("\xC0\x80\xED\xA0\x80").find("\xC0") == std::string::npos);  // overlong; a surrogate
  CHECK(text("0123456789", 8) == "{\"x\":\"...56789\"}\n");
  CHECK(text("0\xE6\xA8\xA1"
             "6789",
             6) == "{\"x\":\"...789\"}\n");  // no half of a character
}

void test_proc() {
  ProcessStat stat;
  CHECK(parse_stat("12 (a) b) c) S 3 12 12 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 1 0 4711 9 9", &stat));
  CHECK(stat.state == 'S' && stat.parent == 3 && stat.start == 4711);
  CHECK(!parse_stat("", &stat) && !parse_stat("12 (a) S", &stat) && !parse_stat("no name", &stat));

  std::vector<long> seen;
  const auto take = [&](long processor) { seen.push_back(processor); };
  CHECK(for_each_listed("0-2,8\n", take) && seen == std::vector<long>({0, 1, 2, 8}));
  CHECK(for_each_listed("", take) && for_each_listed("\n", take) && seen.size() == 4);
  for (const char* wrong : {"x", "-1", "3-1", "1-", "1 2", "1;2"})
    CHECK(!for_each_listed(wrong, take));

  cpu_set_t set;
  CPU_ZERO(&set);
  char list[16];
  CHECK(!list_processors(set, list, sizeof list));
  for (const int processor : {0, 1, 2, 5, 7, 8}) CPU_SET(processor, &set);
  CHECK(list_processors(set, list, sizeof list) && strcmp(list, "0-2,5,7-8") == 0);
  CHECK(!list_processors(set, list, 9));

  CHECK(is_temperature(71'000) && is_temperature(-39'999) && is_temperature(1000));
  for (const long long wrong : {71LL, 385LL, 0LL, -274'000LL, 125'000LL, 4'294'967'295LL}) {
    CHECK(!is_temperature(wrong));
  }
}

void test_sha256() {
  // FIPS 180-4's own examples, and lengths around its blocks in pieces of every size.
  Sha256 abc;
  abc.add("abc", 3);
  CHECK(strcmp(abc.text(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad") ==
        0);
  CHECK(strcmp(Sha256().text(),
               "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855") == 0);
  const std::string content(130, 'a');
  for (size_t size = 0; size <= content.size(); ++size) {
    Sha256 whole;
    whole.add(content.data(), size);
    Sha256 pieces;
    for (size_t at = 0; at < size; ++at) pieces.add(content.data() + at, 1);
    CHECK(strcmp(whole.text(), pieces.text()) == 0);
  }
}

void test_inputs() {
  // The contract's own example.
  const float expected[] = {0.8573755025863647F, 0.37581682205200195F, -0.839362382888794F,
                            0.8859620094299316F, 0.3865220546722412F,  0.9327389001846313F};
  const InputSpec spec = {"x", DType::kFloat32, {2, 3}, -1, 1};
  const auto inputs = make_inputs({spec, spec}, 7);
  CHECK(inputs[1].bytes == sizeof expected);
  CHECK(memcmp(inputs[1].data(), expected, sizeof expected) == 0);
  const auto integers = make_inputs({{"i", DType::kInt32, {100}, -2.5, 3.5}}, 1);
  const auto* values = static_cast<const std::int32_t*>(integers[0].data());
  int lowest = 9;
  int highest = -9;
  for (int i = 0; i < 100; ++i) {
    lowest = values[i] < lowest ? values[i] : lowest;
    highest = values[i] > highest ? values[i] : highest;
  }
  CHECK(lowest == -3 && highest == 3);  // rounded down
}

void test_steadiness() {
  const WarmupPolicy policy = {0, 100, 10, 0, 60, 0.04};
  Steadiness even(policy);
  for (int i = 0; i < 9; ++i) even.add(1000);
  CHECK(!even.reached());
  even.add(1000);
  CHECK(even.reached());
  even.add(10'000);  // a streak that is broken begins again
  CHECK(!even.reached());
  Steadiness step(policy);
  for (int i = 0; i < 70; ++i) step.add(i < 10 ? 2000 : 1000);
  CHECK(!step.reached());  // the slow average is far behind still
  Steadiness falling(policy);
  for (int i = 0; i < 60; ++i) falling.add(100'000 - 1000 * i);
  CHECK(!falling.reached());
}

void test_thinning() {
  Thinned samples(4);
  for (int i = 0; i < 11; ++i) samples.add(i);
  CHECK(samples.seen() == 11);
  CHECK(samples.take() == std::vector<std::int64_t>({0, 4, 8}));
  Thinned few(4);
  for (int i = 0; i < 4; ++i) few.add(i);
  CHECK(few.take() == std::vector<std::int64_t>({0, 1, 2, 3}));
}

}  // namespace

void fail(Fault, const std::string& message) {
  printf("%s\n", message.c_str());
  _Exit(1);
}

}  // namespace edge

int main() {
  edge::test_json();
  edge::test_proc();
  edge::test_sha256();
  edge::test_inputs();
  edge::test_steadiness();
  edge::test_thinning();
  return edge::failed > 0 ? 1 : 0;
}
