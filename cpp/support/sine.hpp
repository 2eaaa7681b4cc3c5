// Sine and cosine that are the same on every platform: libraries differ in the last bit, and so would weights.
#pragma once

namespace maskmill {

// Within 0.8 units in the last place for |x| < 1000.
double sine(double x);
double cosine(double x);

// For |x| <= pi/4, correctly rounded but for about one x in a thousand.
double rounded_sine(double x);
double rounded_cosine(double x);

// pi / 4 / n, correctly rounded.
double rounded_eighth(double n);

}  // namespace maskmill
