#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <string_view>

#include "kernels/coco_json.hpp"
#include "kernels/rle.hpp"
#include "support/parallel.hpp"

namespace maskmill {
namespace {

void put(Buffer<char>& out, std::string_view text) { out.append(text.data(), text.size()); }

// Writes all digits of value, which has at most `width` of them, with zeros in front.
char* put_digits(char* p, uint64_t value, int width) {
    for (int k = width; k-- > 0; value /= 10) p[k] = static_cast<char>('0' + value % 10);
    return p + width;
}

void put(Buffer<char>& out, int64_t value) {
    char* const p = out.room(24);
    out.advance(static_cast<size_t>(std::to_chars(p, p + 24, value).ptr - p));
}

// Most numbers of COCO files have few decimals. A number of at most 15 digits is the only one so short that reads back
// as its double, so if value is the double next to such a number, that is what the shortest digits are. True if it
// was, and is written.
bool put_short_decimal(Buffer<char>& out, double value) {
    const double magnitude = std::fabs(value);
    if (!(magnitude < 1e9) || (magnitude < 1e-4 && magnitude != 0)) return false;
    for (const auto& [power, decimals] : {std::pair{1e2, 2}, std::pair{1e6, 6}}) {
        const auto scaled = static_cast<uint64_t>(magnitude * power + 0.5);
        if (static_cast<double>(scaled) / power != magnitude) continue;
        char* const first = out.room(32);
        char* p = first;
        if (std::signbit(value)) *p++ = '-';
        const auto divisor = static_cast<uint64_t>(power);
        p = std::to_chars(p, p + 16, scaled / divisor).ptr;
        *p++ = '.';
        p = put_digits(p, scaled % divisor, decimals);
        while (p[-1] == '0' && p[-2] != '.') --p;
        out.advance(static_cast<size_t>(p - first));
        return true;
    }
    return false;
}

// The shortest digits that read back as the same double, in the form of Python's repr: fixed for exponents -4 to 15,
// with ".0" behind whole numbers, else d.ddde+XX.
void put(Buffer<char>& out, double value) {
    if (put_short_decimal(out, value)) return;
    char raw[40];
#if defined(__cpp_lib_to_chars)
    const char* end = std::to_chars(raw, raw + sizeof(raw), value, std::chars_format::scientific).ptr;
#else
    int length = 0;
    for (int digits = 0; digits <= 16; ++digits) {
        length = std::snprintf(raw, sizeof(raw), "%.*e", digits, value);
        if (std::strtod(raw, nullptr) == value) break;
    }
    const char* end = raw + length;
#endif
    const char* p = raw;
    if (*p == '-') out.push(*p++);
    char digits[24];
    int n = 0;
    for (; p < end && *p != 'e'; ++p) {
        if (*p != '.') digits[n++] = *p;
    }
    int exponent = 0;
    ++p;
    if (p < end && *p == '+') ++p;
    std::from_chars(p, end, exponent);
    while (n > 1 && digits[n - 1] == '0') --n;
    if (exponent >= -4 && exponent < 16) {
        if (exponent < 0) {
            put(out, "0.");
            for (int k = -1; k > exponent; --k) out.push('0');
            out.append(digits, static_cast<size_t>(n));
            return;
        }
        for (int k = 0; k <= exponent || k < n; ++k) {
            if (k == exponent + 1) out.push('.');
            out.push(k < n ? digits[k] : '0');
        }
        if (n <= exponent + 1) put(out, ".0");
        return;
    }
    out.push(digits[0]);
    if (n > 1) {
        out.push('.');
        out.append(digits + 1, static_cast<size_t>(n - 1));
    }
    char tail[8];
    out.append(tail, static_cast<size_t>(std::snprintf(tail, sizeof(tail), "e%c%02d", exponent < 0 ? '-' : '+',
                                                       exponent < 0 ? -exponent : exponent)));
}

void put_string(Buffer<char>& out, const char* text, size_t n) {
    out.push('"');
    for (size_t i = 0; i < n; ++i) {
        if (text[i] == '\\' || text[i] == '"') out.push('\\');
        out.push(text[i]);
    }
    out.push('"');
}

void check_finite(double value, size_t row, const char* field) {
    if (!std::isfinite(value)) {
        throw std::invalid_argument("annotation " + std::to_string(row) + ": its " + field + " is not finite");
    }
}

void write_row(const CocoWriteRows& r, size_t i, Buffer<char>& code, Buffer<char>& out) {
    bool first = true;
    const auto key = [&](std::string_view name) {
        put(out, first ? "{\"" : ", \"");
        put(out, name);
        put(out, "\": ");
        first = false;
    };
    const auto integer = [&](std::string_view name, const int64_t* column) {
        if (column == nullptr) return;
        key(name);
        put(out, column[i]);
    };
    const auto number = [&](const char* name, const double* column) {
        if (column == nullptr) return;
        check_finite(column[i], i, name);
        key(name);
        put(out, column[i]);
    };
    integer("id", r.id);
    integer("image_id", r.image_id);
    integer("category_id", r.category_id);
    if (r.bbox != nullptr) {
        key("bbox");
        for (size_t k = 0; k < 4; ++k) {
            check_finite(r.bbox[4 * i + k], i, "bbox");
            put(out, k == 0 ? "[" : ", ");
            put(out, r.bbox[4 * i + k]);
        }
        out.push(']');
    }
    number("area", r.area);
    if (r.masks != nullptr) {
        key("segmentation");
        put(out, "{\"size\": [");
        put(out, r.masks->height(i));
        put(out, ", ");
        put(out, r.masks->width(i));
        put(out, "], \"counts\": ");
        code.clear();
        rle_append_string(r.masks->runs(i), code);
        put_string(out, code.data(), code.size());
        out.push('}');
    } else if (r.points != nullptr) {
        key("segmentation");
        out.push('[');
        for (int64_t ring = r.polygons[i]; ring < r.polygons[i + 1]; ++ring) {
            put(out, ring == r.polygons[i] ? "[" : ", [");
            for (int64_t k = 2 * r.rings[ring]; k < 2 * r.rings[ring + 1]; ++k) {
                check_finite(r.points[k], i, "segmentation");
                if (k > 2 * r.rings[ring]) put(out, ", ");
                put(out, r.points[k]);
            }
            out.push(']');
        }
        out.push(']');
    }
    if (r.iscrowd != nullptr) {
        key("iscrowd");
        put(out, static_cast<int64_t>(r.iscrowd[i] != 0));
    }
    number("score", r.score);
    put(out, first ? "{}" : "}");
}

}  // namespace

std::vector<Buffer<char>> coco_json_write(const CocoWriteRows& rows) {
    std::vector<Buffer<char>> parts(std::clamp<size_t>(rows.n / 512, 1, static_cast<size_t>(thread_count()) * 4));
    parallel_run(parts.size(), [&](size_t p) {
        Buffer<char>& out = parts[p];
        Buffer<char> code;
        if (p == 0) out.push('[');
        for (size_t i = rows.n * p / parts.size(); i < rows.n * (p + 1) / parts.size(); ++i) {
            if (i > 0) put(out, ",\n");
            write_row(rows, i, code, out);
        }
        if (p + 1 == parts.size()) out.push(']');
    });
    return parts;
}

}  // namespace maskmill
