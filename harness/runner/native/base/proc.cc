#include "base/proc.h"

#include <stdio.h>

namespace edge {

bool read_number(const char* path, long long* value) {
  char text[64];
  read_text(path, text, sizeof text);
  char* end = nullptr;
  *value = strtoll(text, &end, 10);
  return end != text;
}

bool read_word(const char* path, char* word, size_t size) {
  read_text(path, word, size);
  word[strcspn(word, "\n")] = 0;
  return word[0] != 0;
}

long long sum_of(const char* path, const char* key) {
  FILE* file = fopen(path, "re");
  if (file == nullptr) return -1;
  char line[512];
  long long sum = -1;
  const size_t length = strlen(key);
  while (fgets(line, sizeof line, file) != nullptr) {
    if (strncmp(line, key, length) != 0) continue;
    sum = (sum < 0 ? 0 : sum) + strtoll(line + length, nullptr, 10);
  }
  fclose(file);
  return sum;
}

bool parse_stat(const char* text, ProcessStat* stat) {
  const char* rest = strrchr(text, ')');  // a program's name may hold anything, a ')' too
  return rest != nullptr &&
         sscanf(rest + 1,
                " %c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d"
                " %*d %llu",
                &stat->state, &stat->parent, &stat->start) == 3;
}

bool read_stat(pid_t pid, ProcessStat* stat) {
  char path[40];
  char text[1024];
  snprintf(path, sizeof path, "/proc/%d/stat", static_cast<int>(pid));
  read_text(path, text, sizeof text);
  return parse_stat(text, stat);
}

bool list_processors(const cpu_set_t& set, char* list, size_t size) {
  size_t length = 0;
  list[0] = 0;
  for (int first = 0; first < CPU_SETSIZE; ++first) {
    if (!CPU_ISSET(first, &set)) continue;
    int last = first;
    while (last + 1 < CPU_SETSIZE && CPU_ISSET(last + 1, &set)) ++last;
    char part[24];
    snprintf(part, sizeof part, first == last ? "%s%d" : "%s%d-%d", length > 0 ? "," : "", first,
             last);
    const size_t added = strlen(part);
    if (length + added >= size) return false;
    memcpy(list + length, part, added + 1);
    length += added;
    first = last;
  }
  return length > 0;
}

}  // namespace edge
