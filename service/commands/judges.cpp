#include "service/commands/judges.h"

#include "service/commands/expression.h"
#include "service/tls/pem.h"

namespace sluice::commands {

config::Judges judges() {
    return {.expression = wrong_expression,
            .certificate = tls::wrong_chain,
            .key = tls::wrong_key,
            .authorities = tls::wrong_authorities};
}

}  // namespace sluice::commands
