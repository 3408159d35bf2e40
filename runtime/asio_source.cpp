// Asio's own source, compiled once here (BOOST_ASIO_SEPARATE_COMPILATION) instead of into every file that
// uses it.
#include <boost/asio/impl/src.hpp>
