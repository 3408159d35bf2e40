#include "service/tls/acceptor.h"

#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <unistd.h>

#include "runtime/sanitizer.h"
#include "service/tls/ticket_keys.h"
#include "tests/failing_new.h"

namespace sluice::tls {
namespace {

class AcceptorTest : public testing::Test {
  protected:
    ~AcceptorTest() override { std::filesystem::remove_all(folder_); }

    /// A certificate for this name, with its key, in one file.
    Acceptor::Files files_for(const std::string& name) {
        const KeyPtr key(EVP_EC_gen("P-256"));
        const CertificatePtr certificate(X509_new());
        X509_gmtime_adj(X509_getm_notBefore(certificate.get()), 0);
        X509_gmtime_adj(X509_getm_notAfter(certificate.get()), 3600);
        X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate.get()), "CN", MBSTRING_UTF8,
                                   reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0);
        X509_set_pubkey(certificate.get(), key.get());
        X509_sign(certificate.get(), key.get(), EVP_sha256());
        const std::string path = folder_ / (std::to_string(files_++) + ".pem");
        std::FILE* const file = std::fopen(path.c_str(), "w");
        PEM_write_X509(file, certificate.get());
        PEM_write_PrivateKey(file, key.get(), nullptr, nullptr, 0, nullptr, nullptr);
        std::fclose(file);
        return {path, path, ""};
    }

  private:
    static std::filesystem::path made() {
        std::string name = (std::filesystem::temp_directory_path() / "sluice-tls-XXXXXX").string();
        return ::mkdtemp(name.data());
    }

    const std::filesystem::path folder_ = made();
    int files_ = 0;
};

// It is asked for each request, and by OpenSSL, through which std::bad_alloc could not go.
TEST_F(AcceptorTest, FindsTheEntryOfAnyNameWithoutMemory) {
    if (runtime::kTsan) GTEST_SKIP() << "memory does not run out here";
    const std::vector<Acceptor::Files> files{files_for("first.of-a-rather-long-name.example"),
                                             files_for("*.of-another-long-name.example")};
    const auto acceptor = Acceptor::make(files, std::make_shared<TicketKeys>());
    ASSERT_TRUE(acceptor) << acceptor.error();
    const auto entry_of = [&](std::string_view host) {
        test::allocations_refused = 0;
        test::allocations_left = 1;
        const std::size_t entry = (*acceptor)->entry_of(host);
        test::allocations_left = 0;
        EXPECT_EQ(test::allocations_refused, 0) << host;
        return entry;
    };
    EXPECT_EQ(entry_of("first.of-a-rather-long-name.example"), 0U);
    EXPECT_EQ(entry_of("Any.Of-Another-Long-Name.Example."), 1U);
    EXPECT_EQ(entry_of("nobody.knows-this-rather-long-name.example"), 0U);
    EXPECT_EQ(entry_of(""), 0U);
}

}  // namespace
}  // namespace sluice::tls
