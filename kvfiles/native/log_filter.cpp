#include "log_filter.h"

namespace {

// ggml/include/ggml.h, enum ggml_log_level
constexpr int LEVEL_DEBUG = 1, LEVEL_CONTINUED = 5;

}  // namespace

void llama_log_without_debug(int level, const char *text, void *user) {
    static thread_local bool dropped = false;
    if (level != LEVEL_CONTINUED) dropped = level == LEVEL_DEBUG;
    if (!dropped) reinterpret_cast<void (*)(int, const char *, void *)>(user)(level, text, nullptr);
}
