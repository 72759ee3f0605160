// Between llama.cpp's log and Python.
#pragma once

// A `ggml_log_callback` that drops debug lines and passes the others on to `user`, itself such a callback.
// llama.cpp writes one for every state that is set, from whatever thread; waking Python for it costs as much
// as copying a hundred tokens.
void llama_log_without_debug(int level, const char *text, void *user);
