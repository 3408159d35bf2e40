#pragma once

#include <openssl/bio.h>

namespace sluice::tls {

class Session;

// The BIO through which OpenSSL reads and writes the socket of a session: it tries, and says "again" where it
// would have to wait.
struct SocketBio {
    // A new BIO of `session`, which must outlive it; nullptr when out of memory.
    static BIO* make(Session& session);

  private:
    static int read(BIO* bio, char* room, int size);
    static int write(BIO* bio, const char* data, int size);
    static long control(BIO* bio, int command, long number, void* pointer);
    static BIO_METHOD* method();
};

}  // namespace sluice::tls
