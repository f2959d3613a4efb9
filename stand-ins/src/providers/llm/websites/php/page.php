<?php
declare(strict_types=1);

function page(string $heading): string
{
    $safe = htmlspecialchars($heading, ENT_QUOTES);
    return "<!doctype html>\n<html><head><meta charset=\"utf-8\"><title>{$safe}</title>"
        . "<link rel=\"stylesheet\" href=\"style.css\"></head>"
        . "<body><h1>{$safe}</h1></body></html>\n";
}
