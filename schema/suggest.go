package schema

import "strings"

// didYouMean returns "; did you mean X?" with the candidate closest to word,
// or nothing if none is close.
func didYouMean(word string, candidates []string) string {
	return suggestion(closest(word, candidates))
}

func suggestion(word string) string {
	if word == "" {
		return ""
	}
	return "; did you mean " + `"` + word + `"?`
}

// closest returns the candidate closest to word, or "" if none is close: fewer
// than half of the word's letters may be wrong.
func closest(word string, candidates []string) string {
	best, bestDistance := "", min(max(1, len(word)/3), max(0, len(word)-1)/2)+1
	for _, c := range candidates {
		// The lengths alone tell that most are too far.
		if d := len(c) - len(word); d >= bestDistance || -d >= bestDistance {
			continue
		}
		if d := editDistance(strings.ToLower(word), strings.ToLower(c)); d < bestDistance {
			best, bestDistance = c, d
		}
	}
	return best
}

// editDistance is the Levenshtein distance of two words, in bytes.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}

// listed renders words as `a, b or c`.
func listed(words []string, last string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	n := len(words) - 1
	return strings.Join(words[:n], ", ") + " " + last + " " + words[n]
}
