// Walking JSON text: strict (RFC 8259), without building anything.
#pragma once

#include <bit>
#include <string>
#include <string_view>

#include "support/common.hpp"

namespace maskmill::json {

// Malformed text: what was expected, and where.
struct Error : std::invalid_argument {
    Error(const std::string& what, size_t at) : std::invalid_argument(what), position(at) {}
    size_t position;
};

// One value's text, or the inside of a string's quotes.
struct Slice {
    size_t begin = 0, end = 0;
};

struct Number {
    double value = 0;
    int64_t integer = 0;
    bool is_integer = false;  // written without point and exponent, and within int64
};

class Cursor {
  public:
    Cursor(const char* text, size_t size, size_t at = 0) : text_(text), size_(size), at_(at) {}

    // Whether an integer of more than 18 digits was met: readers disagree on what those are.
    bool met_long_integer() const { return long_integer_; }
    size_t at() const { return at_; }
    void move_to(size_t at) { at_ = at; }
    const char* text() const { return text_; }
    std::string_view view(Slice s) const { return {text_ + s.begin, s.end - s.begin}; }

    [[noreturn]] void fail(const char* expected) const;

    void skip_space() {
        while (at_ < size_ && (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\r' || text_[at_] == '\t'))
            ++at_;
    }
    // The next character that is no space; 0 at the end.
    char peek() {
        skip_space();
        return at_ < size_ ? text_[at_] : '\0';
    }
    bool take(char c) {
        if (peek() != c) return false;
        ++at_;
        return true;
    }
    void expect(char c, const char* expected) {
        if (!take(c)) fail(expected);
    }
    bool at_end() {
        skip_space();
        return at_ == size_;
    }

    // The inside of a string, as written; escaped tells whether it has a backslash.
    Slice string(bool& escaped);
    Number number() {
        skip_space();
        const size_t begin = at_;
        const bool negative = at_ < size_ && text_[at_] == '-';
        if (negative) ++at_;
        // Mostly a few digits, a point, a few digits: read as one integer and divided once.
        uint64_t mantissa = 0;
        const int whole = up_to_eight_digits(mantissa);
        if (whole > 0 && whole < 8 && (whole == 1 || text_[at_ - static_cast<size_t>(whole)] != '0')) {
            int fraction = 0;
            const bool point = text_[at_] == '.';
            if (point) {
                ++at_;
                fraction = up_to_eight_digits(mantissa);
            }
            const bool plain = at_ < size_ && (text_[at_] | 0x20) != 'e' && (!point || (fraction > 0 && fraction < 8));
            if (plain) {
                Number out;
                out.is_integer = !point;
                const auto m = static_cast<int64_t>(mantissa);
                out.integer = negative ? -m : m;
                const double value = fraction == 0 ? static_cast<double>(m) : static_cast<double>(m) / kTens[fraction];
                out.value = !negative ? value : point ? -value : 0 - value;
                return out;
            }
        }
        at_ = begin;
        return any_number();
    }
    // Skips one value of any kind and returns its text.
    Slice skip();

    // Whether the text goes on with these characters; if so, they are taken.
    bool take_text(std::string_view expected) {
        if (size_ - at_ < expected.size() || std::memcmp(text_ + at_, expected.data(), expected.size()) != 0)
            return false;
        at_ += expected.size();
        return true;
    }

    // visit(key) is called before each value and must read it. Keys are decoded only if they have escapes.
    template <class Visit>
    void object(Visit&& visit) {
        expect('{', "an object");
        if (take('}')) return;
        do {
            if (peek() != '"') fail("a key in double quotes");
            bool escaped = false;
            const Slice key = string(escaped);
            expect(':', "':' after a key");
            if (escaped) {
                const std::string decoded = decode(key);
                visit(std::string_view(decoded));
            } else {
                visit(view(key));
            }
        } while (take(','));
        expect('}', "',' or '}'");
    }
    // visit() is called before each element and must read it.
    template <class Visit>
    void array(Visit&& visit) {
        expect('[', "an array");
        if (take(']')) return;
        do visit();
        while (take(','));
        expect(']', "',' or ']'");
    }

    // A string's characters as UTF-8 (lone surrogates as three bytes each).
    std::string decode(Slice s) const;

    // Skips a number; the cursor is at its first character. True if it has at most eight digits before the point and
    // no exponent.
    bool skip_number() {
        const size_t begin = at_ + (text_[at_] == '-');
        const size_t start = std::exchange(at_, begin);
        uint64_t ignored = 0;
        const int whole = up_to_eight_digits(ignored);
        if (whole > 0 && whole < 8 && (whole == 1 || text_[begin] != '0')) {
            if (text_[at_] == '.') {
                ++at_;
                const int fraction = up_to_eight_digits(ignored);
                if (fraction == 8) digits(ignored);
                if (fraction > 0 && at_ < size_ && (text_[at_] | 0x20) != 'e') return true;
            } else if ((text_[at_] | 0x20) != 'e') {
                return true;
            }
        }
        at_ = start;
        return skip_any_number();
    }

  private:
    // Powers of ten that are exact doubles.
    static constexpr double kTens[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                       1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    static constexpr uint64_t kWholeTens[] = {1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000};

    // Takes the next digits, eight at most, appends them to `value` and returns how many they were. Eight bytes at a
    // time: where a number ends is hard to guess, and a wrong guess costs more than all its digits. Takes none where
    // the text ends within eight bytes.
    int up_to_eight_digits(uint64_t& value) {
        if (std::endian::native != std::endian::little || size_ - at_ <= 8) return 0;
        uint64_t bytes;
        std::memcpy(&bytes, text_ + at_, 8);
        bytes ^= 0x3030303030303030ULL;  // digits become 0 to 9
        const uint64_t stops =
            (((bytes & 0x7f7f7f7f7f7f7f7fULL) + 0x7676767676767676ULL) | bytes) & 0x8080808080808080ULL;
        const int n = stops == 0 ? 8 : std::countr_zero(stops) / 8;
        if (n == 0) return 0;
        // The digits move to the end of the word, and are added up as pairs, fours, eight; zeros in front count nothing.
        uint64_t x = bytes << (8 * (8 - n));
        x = x * 10 + (x >> 8);
        x = ((x & 0x000000ff000000ffULL) * 0x000f424000000064ULL +
             ((x >> 16) & 0x000000ff000000ffULL) * 0x0000271000000001ULL) >>
            32;
        value = value * kWholeTens[n] + x;
        at_ += static_cast<size_t>(n);
        return n;
    }
    // Any number, slowly.
    Number any_number();
    bool skip_any_number();
    // All digits from the cursor on, appended to `value`.
    void digits(uint64_t& value) {
        while (up_to_eight_digits(value) == 8) {
        }
        while (at_ < size_ && text_[at_] >= '0' && text_[at_] <= '9') {
            value = value * 10 + static_cast<uint64_t>(text_[at_++] - '0');
        }
    }
    void skip_string();
    void skip_word(const char* word);

    const char* text_;
    size_t size_;
    size_t at_;
    bool long_integer_ = false;
};

// Position of the first byte that is not valid UTF-8, or n.
size_t find_invalid_utf8(const char* text, size_t n);

// Line and column (both from 1; columns count code points) of a position.
struct Place {
    size_t line, column;
};
Place place_of(const char* text, size_t position);

}  // namespace maskmill::json
