"""Names: what host names stand for, as a test says; for a proxy under test alone, by a getaddrinfo() of our own."""

import subprocess

_SOURCE = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef int look_up(const char*, const char*, const struct addrinfo*, struct addrinfo**);

int getaddrinfo(const char* host, const char* service, const struct addrinfo* hints, struct addrinfo** list) {
    look_up* real = (look_up*)dlsym(RTLD_NEXT, "getaddrinfo");
    if (hints != NULL && (hints->ai_flags & AI_NUMERICHOST) != 0) return real(host, service, hints, list);
    FILE* file = fopen(getenv("TEST_NAMES"), "r");
    if (file == NULL) return EAI_FAIL;
    char name[256], address[256];
    struct addrinfo** end = list;
    *list = NULL;
    while (fscanf(file, "%255s %255s", name, address) == 2) {
        if (strcmp(name, host) != 0) continue;
        if (strcmp(address, "hangs") == 0) for (;;) pause();
        if (real(address, service, hints, end) == 0) while (*end != NULL) end = &(*end)->ai_next;
    }
    fclose(file);
    return *list == NULL ? EAI_NONAME : 0;
}
"""


class Names:
    """`environment` is for the proxy's process; `stand_for` says what each name stands for from now on."""

    def __init__(self, directory):
        self._file = directory / "names"
        library = directory / "names.so"
        subprocess.run(["cc", "-shared", "-fPIC", "-o", str(library), "-xc", "-", "-ldl"], input=_SOURCE, text=True, check=True)
        self.environment = {"LD_PRELOAD": str(library), "TEST_NAMES": str(self._file)}
        self.stand_for()

    def stand_for(self, **names):
        """stand_for(app=["127.0.0.1"]): a name that is not given does not resolve; "hangs" is one that takes for ever."""
        lines = [f"{name} {address}\n" for name, addresses in names.items() for address in addresses]
        fresh = self._file.with_suffix(".new")
        fresh.write_text("".join(lines))
        fresh.rename(self._file)
