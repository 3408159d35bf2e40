#include "service/tls/session.h"

#include <array>
#include <chrono>
#include <string>
#include <thread>
#include <utility>

#include <boost/asio/error.hpp>
#include <openssl/ec.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "runtime/go.h"
#include "runtime/this_task.h"
#include "runtime/wait_group.h"
#include "service/tls/stream.h"
#include "tests/runtime/on_workers.h"
#include "tests/runtime/sockets.h"

namespace sluice::tls {
namespace {

using namespace std::chrono_literals;

class SessionTest : public runtime::OnWorkers {};
ON_WORKERS(SessionTest);

ContextPtr server_context() {
    const KeyPtr key(EVP_EC_gen("P-256"));
    const CertificatePtr certificate(X509_new());
    X509_gmtime_adj(X509_getm_notBefore(certificate.get()), 0);
    X509_gmtime_adj(X509_getm_notAfter(certificate.get()), 3600);
    X509_set_pubkey(certificate.get(), key.get());
    X509_sign(certificate.get(), key.get(), EVP_sha256());
    ContextPtr context(SSL_CTX_new(TLS_server_method()));
    EXPECT_EQ(SSL_CTX_use_certificate(context.get(), certificate.get()), 1);
    EXPECT_EQ(SSL_CTX_use_PrivateKey(context.get(), key.get()), 1);
    return context;
}

/// A client that shakes hands, and then has so many updates of its key to tell, and nothing else. On a thread
/// of its own, by a socket that blocks; ends when the other side closes.
void tell_updates(int socket, int count) {
    const ContextPtr context(SSL_CTX_new(TLS_client_method()));
    const SslPtr ssl(SSL_new(context.get()));
    SSL_set_fd(ssl.get(), socket);
    ASSERT_EQ(SSL_connect(ssl.get()), 1);
    BIO* const made = BIO_new(BIO_s_mem());
    SSL_set0_wbio(ssl.get(), made);
    for (int i = 0; i < count; ++i) {
        ASSERT_EQ(SSL_key_update(ssl.get(), SSL_KEY_UPDATE_NOT_REQUESTED), 1);
        ASSERT_EQ(SSL_do_handshake(ssl.get()), 1);
    }
    char* data = nullptr;
    for (long left = BIO_get_mem_data(made, &data), n = 0; left > 0; left -= n, data += n) {
        n = ::send(socket, data, static_cast<std::size_t>(left), MSG_NOSIGNAL);
        if (n <= 0) return;
    }
}

int unread_of(const Stream& stream) {
    int bytes = 0;
    EXPECT_EQ(::ioctl(stream.native_handle(), FIONREAD, &bytes), 0);
    return bytes;
}

// OpenSSL reads on by itself for as long as such records come.
TEST_P(SessionTest, RecordsThatSayNothingHoldNeitherTheDeadlineUpNorAnybodyElse) {
    run([] {
        std::array<int, 2> ends{};
        ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), 0);
        const runtime::RawSocket far(ends[1]);
        int on = 1;
        ASSERT_EQ(::ioctl(ends[0], FIONBIO, &on), 0);
        std::jthread client([&] { tell_updates(far.descriptor, 60'000); });

        auto tcp = runtime::TcpStream::adopt(ends[0]).value();
        const ContextPtr context = server_context();
        SslPtr ssl(SSL_new(context.get()));
        SSL_set_accept_state(ssl.get());
        SessionPtr session(new Session(std::move(ssl)));
        tcp.read_deadline(runtime::now() + 60s);
        ASSERT_TRUE(session->handshake(tcp));
        Stream stream(std::move(tcp), std::move(session));
        while (unread_of(stream) == 0) runtime::this_task::sleep_for(1ms);  // until the updates come

        bool over = false;
        int turns = 0;
        runtime::WaitGroup other;
        other.add();
        runtime::go([&] {
            for (; !over; ++turns) runtime::this_task::yield();
            other.done();
        });
        runtime::error_code error;
        std::array<char, 100> room;
        stream.read_deadline(runtime::now() + 20ms);
        EXPECT_EQ(stream.read_some(boost::asio::buffer(room), error), 0U);
        EXPECT_EQ(error, boost::asio::error::timed_out);
        EXPECT_GT(unread_of(stream), 0) << "it gave up before it had read them all";
        EXPECT_GT(turns, 10);
        over = true;
        other.wait();
        stream.close();
    });
}

}  // namespace
}  // namespace sluice::tls
