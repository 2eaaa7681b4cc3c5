#include "support/json.hpp"

#include <algorithm>
#include <cfloat>
#include <charconv>
#include <cstdio>

#if !defined(__cpp_lib_to_chars)
#include <clocale>
#include <cstdlib>
#if defined(__APPLE__)
#include <xlocale.h>
#endif
#endif

namespace maskmill::json {
namespace {

constexpr int kMostNesting = 512;

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// Correctly rounded, whatever the locale. `large`: what to expect if the number is out of range.
double parse_double(const char* begin, const char* end, [[maybe_unused]] bool large) {
    double value = 0;
#if defined(__cpp_lib_to_chars)
    if (std::from_chars(begin, end, value).ec == std::errc::result_out_of_range) {
        value = large ? std::numeric_limits<double>::infinity() : 0.0;
        if (*begin == '-') value = -value;
    }
#else
    static const locale_t c_locale = newlocale(LC_ALL_MASK, "C", nullptr);
    const std::string copy(begin, end);
    value = strtod_l(copy.c_str(), nullptr, c_locale);
#endif
    return value;
}

}  // namespace

void Cursor::fail(const char* expected) const {
    std::string what = std::string("expected ") + expected;
    if (at_ >= size_) {
        what += ", found the end of the text";
    } else {
        const auto c = static_cast<unsigned char>(text_[at_]);
        if (c >= 0x20 && c < 0x7f) {
            what += std::string(", found '") + static_cast<char>(c) + "'";
        } else {
            char hex[8];
            std::snprintf(hex, sizeof(hex), "0x%02x", c);
            what += std::string(", found the byte ") + hex;
        }
    }
    throw Error(what, at_);
}

Slice Cursor::string(bool& escaped) {
    expect('"', "a string");
    const size_t begin = at_;
    escaped = false;
    for (;;) {
        if (at_ >= size_) fail("'\"' at the end of a string");
        const char c = text_[at_];
        if (c == '"') return {begin, at_++};
        if (static_cast<unsigned char>(c) < 0x20) fail("no control character in a string");
        ++at_;
        if (c != '\\') continue;
        escaped = true;
        if (at_ >= size_) fail("a character after '\\'");
        switch (text_[at_]) {
            case '"':
            case '\\':
            case '/':
            case 'b':
            case 'f':
            case 'n':
            case 'r':
            case 't': ++at_; break;
            case 'u':
                ++at_;
                for (int k = 0; k < 4; ++k, ++at_) {
                    const char h = at_ < size_ ? text_[at_] : '\0';
                    if (!(is_digit(h) || (h >= 'a' && h <= 'f') || (h >= 'A' && h <= 'F'))) fail("four hex digits");
                }
                break;
            default: fail("an escape: one of \"\\/bfnrtu");
        }
    }
}

Number Cursor::any_number() {
    Number out;
    const size_t begin = at_;
    const bool negative = at_ < size_ && text_[at_] == '-';
    if (negative) ++at_;
    const size_t digits_begin = at_;
    uint64_t mantissa = 0;
    digits(mantissa);
    const size_t whole = at_ - digits_begin;
    if (whole == 0) fail(negative ? "a digit after '-'" : "a number");
    if (whole > 1 && text_[digits_begin] == '0') {
        at_ = digits_begin;
        fail("a number without leading zero");
    }
    size_t length = whole;
    int64_t exponent = 0;
    out.is_integer = true;
    if (at_ < size_ && text_[at_] == '.') {
        out.is_integer = false;
        const size_t point = ++at_;
        digits(mantissa);
        if (at_ == point) fail("a digit after '.'");
        length += at_ - point;
        exponent = -static_cast<int64_t>(at_ - point);
    }
    if (at_ < size_ && (text_[at_] | 0x20) == 'e') {
        out.is_integer = false;
        ++at_;
        const bool down = at_ < size_ && text_[at_] == '-';
        if (at_ < size_ && (text_[at_] == '-' || text_[at_] == '+')) ++at_;
        const size_t power = at_;
        int64_t e = 0;
        while (at_ < size_ && is_digit(text_[at_])) e = std::min<int64_t>(e * 10 + (text_[at_++] - '0'), 100000);
        if (at_ == power) fail("a digit in the exponent");
        exponent += down ? -e : e;
    }
    long_integer_ |= out.is_integer && whole > 18;
    if (length <= 19) {
        if (out.is_integer && mantissa <= static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
            out.integer = negative ? -static_cast<int64_t>(mantissa) : static_cast<int64_t>(mantissa);
        } else {
            out.is_integer = false;
        }
        // Both exact: one rounding (Clinger, "How to read floating point numbers accurately", 1990).
        if (mantissa <= uint64_t{1} << 53 && exponent >= -22 && exponent <= 22) {
            const auto m = static_cast<double>(mantissa);
            const double value = exponent < 0 ? m / kTens[-exponent] : m * kTens[exponent];
            out.value = negative && !out.is_integer ? -value : negative ? 0 - value : value;
            return out;
        }
#if defined(__x86_64__) && LDBL_MANT_DIG == 64
        // The 16 or 17 digits that Python writes, by the 80 bits of x87, which hold both: rounded to 64 bits and then to
        // 53, which is the same as at once unless the first ends halfway between two doubles.
        if (!out.is_integer && exponent >= -22 && exponent < 0) {
            static constexpr long double tens[] = {1e0L,  1e1L,  1e2L,  1e3L,  1e4L,  1e5L,  1e6L,  1e7L,
                                                   1e8L,  1e9L,  1e10L, 1e11L, 1e12L, 1e13L, 1e14L, 1e15L,
                                                   1e16L, 1e17L, 1e18L, 1e19L, 1e20L, 1e21L, 1e22L};
            const long double value = static_cast<long double>(mantissa) / tens[-exponent];
            uint64_t bits;
            std::memcpy(&bits, &value, sizeof(bits));
            if ((bits & 0x7ff) != 0x400) {
                out.value = static_cast<double>(negative ? -value : value);
                return out;
            }
        }
#endif
    } else {
        out.is_integer = false;
    }
    out.value = parse_double(text_ + begin, text_ + at_, exponent + static_cast<int64_t>(whole) > 0);
    return out;
}

void Cursor::skip_string() {
    bool escaped;
    string(escaped);
}

bool Cursor::skip_any_number() {
    uint64_t ignored = 0;
    const bool negative = text_[at_] == '-';
    if (negative) ++at_;
    const size_t begin = at_;
    digits(ignored);
    if (at_ == begin) fail(negative ? "a digit after '-'" : "a value");
    const size_t whole = at_ - begin;
    if (whole > 1 && text_[begin] == '0') {
        at_ = begin;
        fail("a number without leading zero");
    }
    if (at_ < size_ && text_[at_] == '.') {
        const size_t point = ++at_;
        digits(ignored);
        if (at_ == point) fail("a digit after '.'");
    }
    const bool point = at_ - begin > whole;
    if (at_ == size_ || (text_[at_] | 0x20) != 'e') {
        long_integer_ |= !point && whole > 18;
        return whole <= 8;
    }
    ++at_;
    if (at_ < size_ && (text_[at_] == '-' || text_[at_] == '+')) ++at_;
    const size_t power = at_;
    digits(ignored);
    if (at_ == power) fail("a digit in the exponent");
    return false;
}

void Cursor::skip_word(const char* word) {
    const size_t n = std::strlen(word);
    if (size_ - at_ < n || std::memcmp(text_ + at_, word, n) != 0) fail("a value");
    at_ += n;
}

Slice Cursor::skip() {
    peek();
    const size_t begin = at_;
    char open[kMostNesting];  // the brackets that are open
    int depth = 0;
    for (;;) {
        // A value begins here.
        switch (peek()) {
            case '[':
            case '{':
                if (depth == kMostNesting) fail("at most 512 nested brackets");
                open[depth++] = text_[at_++];
                if (take(open[depth - 1] == '[' ? ']' : '}')) {
                    --depth;
                    break;
                }
                if (open[depth - 1] == '{') {
                    if (peek() != '"') fail("a key in double quotes");
                    skip_string();
                    expect(':', "':' after a key");
                }
                continue;
            case '"': skip_string(); break;
            case 't': skip_word("true"); break;
            case 'f': skip_word("false"); break;
            case 'n': skip_word("null"); break;
            default:
                if (at_ == size_) fail("a value");
                skip_number();
        }
        // A value has ended: close what it closes.
        for (;;) {
            if (depth == 0) return {begin, at_};
            if (take(',')) {
                if (open[depth - 1] == '{') {
                    if (peek() != '"') fail("a key in double quotes");
                    skip_string();
                    expect(':', "':' after a key");
                }
                break;
            }
            if (!take(open[depth - 1] == '[' ? ']' : '}')) {
                fail(open[depth - 1] == '[' ? "',' or ']'" : "',' or '}'");
            }
            --depth;
        }
    }
}

std::string Cursor::decode(Slice s) const {
    std::string out;
    const auto hex4 = [&](size_t p) {
        unsigned v = 0;
        std::from_chars(text_ + p, text_ + p + 4, v, 16);
        return v;
    };
    for (size_t p = s.begin; p < s.end; ++p) {
        if (text_[p] != '\\') {
            out += text_[p];
            continue;
        }
        switch (text_[++p]) {
            case 'b': out += '\b'; break;
            case 'f': out += '\f'; break;
            case 'n': out += '\n'; break;
            case 'r': out += '\r'; break;
            case 't': out += '\t'; break;
            case 'u': {
                unsigned code = hex4(p + 1);
                p += 4;
                if (code >= 0xd800 && code < 0xdc00 && p + 6 < s.end && text_[p + 1] == '\\' && text_[p + 2] == 'u') {
                    const unsigned low = hex4(p + 3);
                    if (low >= 0xdc00 && low < 0xe000) {
                        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
                        p += 6;
                    }
                }
                if (code < 0x80) {
                    out += static_cast<char>(code);
                } else if (code < 0x800) {
                    out += static_cast<char>(0xc0 | code >> 6);
                    out += static_cast<char>(0x80 | (code & 0x3f));
                } else if (code < 0x10000) {
                    out += static_cast<char>(0xe0 | code >> 12);
                    out += static_cast<char>(0x80 | (code >> 6 & 0x3f));
                    out += static_cast<char>(0x80 | (code & 0x3f));
                } else {
                    out += static_cast<char>(0xf0 | code >> 18);
                    out += static_cast<char>(0x80 | (code >> 12 & 0x3f));
                    out += static_cast<char>(0x80 | (code >> 6 & 0x3f));
                    out += static_cast<char>(0x80 | (code & 0x3f));
                }
                break;
            }
            default: out += text_[p];
        }
    }
    return out;
}

size_t find_invalid_utf8(const char* text, size_t n) {
    const auto* p = reinterpret_cast<const unsigned char*>(text);
    size_t i = 0;
    const auto continues = [&](size_t k, unsigned low = 0x80, unsigned high = 0xbf) {
        return k < n && p[k] >= low && p[k] <= high;
    };
    while (i < n) {
        uint64_t word;
        while (i + 8 <= n) {  // ASCII, eight at a time
            std::memcpy(&word, p + i, 8);
            if (word & 0x8080808080808080ULL) break;
            i += 8;
        }
        if (i >= n) break;
        const unsigned c = p[i];
        if (c < 0x80) {
            ++i;
        } else if (c >= 0xc2 && c <= 0xdf) {
            if (!continues(i + 1)) return i;
            i += 2;
        } else if (c >= 0xe0 && c <= 0xef) {
            if (!continues(i + 1, c == 0xe0 ? 0xa0 : 0x80, c == 0xed ? 0x9f : 0xbf) || !continues(i + 2)) return i;
            i += 3;
        } else if (c >= 0xf0 && c <= 0xf4) {
            if (!continues(i + 1, c == 0xf0 ? 0x90 : 0x80, c == 0xf4 ? 0x8f : 0xbf) || !continues(i + 2) ||
                !continues(i + 3)) {
                return i;
            }
            i += 4;
        } else {
            return i;
        }
    }
    return n;
}

Place place_of(const char* text, size_t position) {
    Place place{1, 1};
    for (size_t i = 0; i < position; ++i) {
        if (text[i] == '\n') {
            ++place.line;
            place.column = 1;
        } else if ((static_cast<unsigned char>(text[i]) & 0xc0) != 0x80) {
            ++place.column;
        }
    }
    return place;
}

}  // namespace maskmill::json
