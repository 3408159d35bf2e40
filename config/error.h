#pragma once

// What is wrong with a configuration file, and where.

#include <string>
#include <vector>

namespace sluice::config {

struct Error {
    std::string file;
    unsigned line = 0;    // from 1; 0: the error is about the file as a whole
    unsigned column = 0;  // from 1, in characters (code points), as editors count
    std::string pointer;  // RFC 6901; empty: the document
    std::string message;

    /// FILE:LINE:COLUMN: /json/pointer: message, without what is not known, on one line whatever a key or the
    /// file's name holds.
    std::string to_string() const;
    bool operator==(const Error&) const = default;
};

using Errors = std::vector<Error>;

}  // namespace sluice::config
