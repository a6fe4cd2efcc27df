// The rules of protocol.h for whoever has samples of the ports: cocotb, and tests of the rules.

#include "protocol.h"

#define API extern "C" __attribute__((visibility("default")))

API TalonRules *rules_new(uint64_t address, uint64_t mask, uint64_t cycles) {
    auto rules = new TalonRules;
    rules->array_reset(address, mask, cycles);
    return rules;
}

API void rules_free(TalonRules *rules) { delete rules; }

API void rules_check(TalonRules *rules, const TalonPorts *ports) { rules->check(*ports); }

API void rules_finish(TalonRules *rules) { rules->finish(); }

API const char *rules_violation(const TalonRules *rules) { return rules->violation().c_str(); }
