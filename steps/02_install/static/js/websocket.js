// The page loads this script; step 4 makes it connect.
