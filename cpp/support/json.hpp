// Walking JSON text: strict (RFC 8259), without building anything.
#pragma once

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

    size_t at() const { return at_; }
    void move_to(size_t at) { at_ = at; }
    const char* text() const { return text_; }
    std::string_view view(Slice s) const { return {text_ + s.begin, s.end - s.begin}; }

    [[noreturn]] void fail(const char* expected) const;

    void skip_space() {
        while (at_ < size_ && (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\r' || text_[at_] == '\t')) ++at_;
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
    Number number();
    // Skips one value of any kind and returns its text.
    Slice skip();

    // Whether the text goes on with these characters; if so, they are taken.
    bool take_text(std::string_view expected) {
        if (size_ - at_ < expected.size() || std::memcmp(text_ + at_, expected.data(), expected.size()) != 0) return false;
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

    // Skips a number; the cursor is at its first character.
    void skip_number();

  private:
    void skip_string();
    // Digits from the cursor on, as many as there are, appended to `value`.
    void digits(uint64_t& value);
    void skip_word(const char* word);

    const char* text_;
    size_t size_;
    size_t at_;
};

// Position of the first byte that is not valid UTF-8, or n.
size_t find_invalid_utf8(const char* text, size_t n);

// Line and column (both from 1; columns count code points) of a position.
struct Place {
    size_t line, column;
};
Place place_of(const char* text, size_t position);

}  // namespace maskmill::json
